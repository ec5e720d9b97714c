//! Types of values: one table, each type with the form that it takes and a check with its own messages.

mod names;
mod paths;
mod refs;
mod values;
mod words;

use std::fmt;

use diag::{Code, codes};

pub(crate) use paths::source;
pub use refs::{Base, base, secret_ref};
pub use values::{duration, mode, quantity};
pub(in crate::schema) use words::unknown as unknown_word;

/// The form in which KDL must hold the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// `#true` or `#false`.
    Flag,
    /// A whole number, or text.
    IntegerOrText,
}

/// Why a value does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Code of the page.
    pub code: Code,
    /// Headline.
    pub message: String,
    /// Word at the place.
    pub label: String,
    /// What to do.
    pub help: Vec<String>,
    /// Bytes of the value that are to blame, where it is not all of it.
    pub at: Option<std::ops::Range<usize>>,
}

impl Fault {
    /// A fault of the whole value.
    pub fn new(code: Code, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { code, message: message.into(), label: label.into(), help: Vec::new(), at: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    fn at(mut self, start: usize, end: usize) -> Self {
        self.at = Some(start..end);
        self
    }
}

/// Result of a check.
pub type Check = Result<(), Fault>;

/// A type of the schema.
#[derive(Clone, Copy)]
pub struct Type(&'static Def);

struct Def {
    name: &'static str,
    form: Form,
    what: &'static str,
    text: fn(&str) -> Check,
}

impl Type {
    /// The type that the schema calls `name`.
    pub fn named(name: &str) -> Option<Type> {
        TYPES.iter().find(|def| def.name == name).map(Type)
    }

    /// All types, in the order of the table.
    pub fn all() -> impl Iterator<Item = Type> {
        TYPES.iter().map(Type)
    }

    /// Its name in the schema.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it is, for messages and the reference: "a name".
    pub fn what(self) -> &'static str {
        self.0.what
    }

    /// How KDL must hold it.
    pub fn form(self) -> Form {
        self.0.form
    }

    /// Checks a text of this type; what a number must be is said by [`Type::check_integer`].
    pub fn check_text(self, text: &str) -> Check {
        if let Some(at) = text.find('\0') {
            let fault = Fault::new(codes::E0119, "text contains a NUL character", "nothing can hold it");
            return Err(fault.at(at, at + 1));
        }
        (self.0.text)(text)
    }

    /// Checks a number of this type against the type's own range.
    pub fn check_integer(self, number: i64) -> Check {
        let (low, high) = match self.0.name {
            "port" | "port-ref" => (1, 65_535),
            // 2³¹−1: Kubernetes takes no greater id.
            "id" => (1, i64::from(i32::MAX)),
            _ => return Ok(()),
        };
        range(number, low, high, self.0.what)
    }
}

/// Whether `number` lies in `low..=high`.
pub fn range(number: i64, low: i64, high: i64, what: &str) -> Check {
    if (low..=high).contains(&number) {
        return Ok(());
    }
    let fault = Fault::new(codes::E0115, format!("{number} is out of range for {what}"), format!("{low} to {high}"));
    Err(match what {
        "an id" if number == 0 => {
            fault.help("id 0 is root, which the base has: use `keep \"root\"`, or leave the id to `auto`")
        }
        _ => fault,
    })
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

const fn text(name: &'static str, what: &'static str, text: fn(&str) -> Check) -> Def {
    Def { name, form: Form::Text, what, text }
}

static TYPES: &[Def] = &[
    text("string", "text", |_| Ok(())),
    text("argument", "an argument", |_| Ok(())),
    text("env-value", "text", |_| Ok(())),
    text("reason", "a reason", values::reason),
    text("gecos", "a comment without `:`", values::gecos),
    text("words", "one of the words", |_| Ok(())),
    Def { name: "integer", form: Form::Integer, what: "a whole number", text: |_| Ok(()) },
    Def { name: "port", form: Form::Integer, what: "a port", text: |_| Ok(()) },
    Def { name: "bool", form: Form::Flag, what: "`#true` or `#false`", text: |_| Ok(()) },
    Def { name: "id", form: Form::IntegerOrText, what: "an id", text: values::id },
    Def { name: "port-ref", form: Form::IntegerOrText, what: "a port's number or name", text: names::port_name },
    text("mode", "a mode", |value| mode(value).map(|_| ())),
    text("quantity", "a quantity", |value| quantity(value).map(|_| ())),
    text("duration", "a duration", |value| duration(value).map(|_| ())),
    text("name", "a name", names::name),
    text("object-name", "the name of a cluster's object", names::object_name),
    text("posix-name", "the name of an account", names::posix_name),
    text("account", "the name of an account", names::account),
    text("owner", "an owner", names::owner),
    text("run-as", "a user", names::run_as),
    text("port-name", "the name of a port", names::port_name),
    text("param-name", "the name of a param", names::param_name),
    text("env-name", "the name of a variable", names::env_name),
    text("secret-name", "the name of a variable or file", names::secret_name),
    text("label-key", "the name of a label", names::label_key),
    text("resource-name", "the name of a resource", names::resource_name),
    text("parameter-name", "the name of a parameter", names::parameter_name),
    text("package", "the name of a package", names::package),
    text("cloud-name", "a name", names::cloud_name),
    text("region", "a region", names::region),
    text("user-host", "`user@host`", names::user_host),
    text("mount-option", "a mount option", names::mount_option),
    text("syscall", "a system call or `@group`", names::syscall),
    text("abs-path", "an absolute path", paths::abs_path),
    text("file-path", "an absolute path", paths::file_path),
    text("mount-path", "an absolute path", paths::mount_path),
    text("program", "the absolute path of a program", paths::program),
    text("glob", "an absolute path or glob", paths::glob),
    text("link-target", "the target of a link", paths::link_target),
    text("http-path", "a path of a URL", paths::http_path),
    text("source-path", "a path beside the spec", paths::source_path),
    text("source-file", "a file beside the spec", paths::source_path),
    text("host-path", "a file of this machine", paths::host_path),
    text("url", "a URL", refs::url),
    text("registry-prefix", "a registry", refs::registry_prefix),
    text("repository", "a repository", refs::repository),
    text("base", "a base", |value| base(value).map(|_| ())),
    text("platform", "a platform", refs::platform),
    text("module", "a module", refs::module),
    text("secret-ref", "a place of a secret", |value| secret_ref(value).map(|_| ())),
    text("secret-to", "`env` or a path", refs::secret_to),
    text("expose", "a port with its protocol", refs::expose),
    text("signal", "a signal", words::signal),
    text("errno", "an error number's name", words::errno),
    text("action", "an action", words::action),
];
