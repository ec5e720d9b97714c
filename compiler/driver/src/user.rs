//! The user file: `$K8ORC_CONFIG`, `$XDG_CONFIG_HOME/k8orc/config.kdl` or `~/.config/k8orc/config.kdl`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use diag::{Diagnostic, Diagnostics, SourceMap, codes};
use lang::text::MAX_BYTES;
use lang::user::UserFile;
use sources::Settings;

/// What it says, and nothing where there is none. Its text joins `texts`, so that complaints can point at it.
///
/// # Errors
/// E1014 when it cannot be read; what is wrong with its text.
pub(crate) fn read(env: &BTreeMap<String, String>, texts: &mut SourceMap) -> Result<UserFile, Diagnostics> {
    let Some((path, said)) = place(env) else { return Ok(UserFile::default()) };
    let shown = path.display().to_string();
    let text = match whole(&path) {
        Ok(text) => text,
        // One that is named must be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !said => return Ok(UserFile::default()),
        Err(error) => {
            let message = format!("the user file {} cannot be read: {error}", diag::text::printable(&shown));
            let problem = Diagnostic::new(codes::E1014, message);
            let help = if said {
                "set K8ORC_CONFIG to a file that can be read, or unset it"
            } else {
                "let it be read, or move it away"
            };
            return Err(problem.help(help).into());
        }
    };
    let file = texts.add(shown, text.as_str());
    let mut user = lang::user::read(&text, file)?;
    let root = path.parent().unwrap_or(Path::new("."));
    let join = |written: &mut String| *written = root.join(&*written).to_string_lossy().into_owned();
    user.keyrings.values_mut().for_each(join);
    user.trust.iter_mut().for_each(join);
    Ok(user)
}

/// Where it is, and whether the environment names it.
fn place(env: &BTreeMap<String, String>) -> Option<(PathBuf, bool)> {
    let var = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(said) = var("K8ORC_CONFIG") {
        return Some((said, true));
    }
    // The base directory specification: a relative path counts as not set.
    let xdg = var("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    let dir = xdg.or_else(|| Some(var("HOME").filter(|dir| dir.is_absolute())?.join(".config")))?;
    Some((dir.join("k8orc/config.kdl"), false))
}

fn whole(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than is taken: the reader of KDL refuses it.
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Puts it into the settings; the environment's proxies come first.
pub(crate) fn apply(user: &UserFile, settings: &mut Settings) {
    settings.mirrors = user.mirrors.iter().map(|(archive, mirror)| (archive.clone(), mirror.url.clone())).collect();
    settings.keyrings = user.keyrings.iter().map(|(archive, file)| (archive.clone(), file.into())).collect();
    settings.ca_file = user.trust.as_ref().map(PathBuf::from);
    settings.registries.clone_from(&user.registries);
    let proxies = [("http_proxy", &user.http_proxy), ("https_proxy", &user.https_proxy), ("no_proxy", &user.no_proxy)];
    for (name, value) in proxies {
        let loud = name.to_uppercase();
        let said = settings.env(name).or_else(|| settings.env(&loud)).is_some();
        if let (Some(value), false) = (value, said) {
            settings.env.insert(name.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sources::NetPolicy;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn it_is_looked_for_where_the_environment_says() {
        let named = env(&[("K8ORC_CONFIG", "a.kdl"), ("HOME", "/h")]);
        assert_eq!(place(&named), Some((PathBuf::from("a.kdl"), true)));
        let xdg = env(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]);
        assert_eq!(place(&xdg), Some((PathBuf::from("/x/k8orc/config.kdl"), false)));
        let relative = env(&[("XDG_CONFIG_HOME", "x"), ("HOME", "/h")]);
        assert_eq!(place(&relative), Some((PathBuf::from("/h/.config/k8orc/config.kdl"), false)));
        assert_eq!(place(&env(&[])), None);
    }

    #[test]
    fn what_is_named_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.kdl");
        let named = env(&[("K8ORC_CONFIG", path.to_str().unwrap())]);
        let home = env(&[("HOME", dir.path().to_str().unwrap())]);
        let mut texts = SourceMap::new();
        assert_eq!(read(&home, &mut texts).unwrap(), UserFile::default());
        assert_eq!(read(&named, &mut texts).unwrap_err().0[0].code, codes::E1014);
        std::fs::write(&path, "k8orc version=1\nmiror \"debian\" \"https://example.com\"\n").unwrap();
        let found = read(&named, &mut texts).unwrap_err();
        let span = found.0[0].primary.as_ref().unwrap().span;
        assert_eq!(texts.line_column(span.file, span.start), (2, 1));
    }

    #[test]
    fn the_environment_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.kdl");
        let text = "k8orc version=1\nproxy http=\"http://file.example.com\" https=\"http://file.example.com\"\n\
                    trust \"ca.pem\"\nregistries \"docker.io\"\n";
        std::fs::write(&path, text).unwrap();
        let variables = env(&[("K8ORC_CONFIG", path.to_str().unwrap()), ("HTTPS_PROXY", "http://env.example.com")]);
        let user = read(&variables, &mut SourceMap::new()).unwrap();
        let mut settings = Settings::new(variables, NetPolicy::default());
        apply(&user, &mut settings);
        assert_eq!(settings.env("http_proxy"), Some("http://file.example.com"));
        assert_eq!(settings.env("https_proxy"), None);
        assert_eq!(settings.ca_file, Some(dir.path().join("ca.pem")));
        assert_eq!(settings.registries, Some(vec!["docker.io".to_owned()]));
    }
}
