//! The result's OCI image config: the base's, with what the spec says on top; unknown fields stay.

use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::Image;
use serde_json::{Map, Value, json};

use crate::facts::Facts;
use crate::plan::Identity;

/// The wrapper that every image starts with.
pub const WRAPPER: [&str; 3] = ["/k8or/k8or", "run", "--"];

/// What the base's config says, in our words.
#[derive(Debug, Clone, Default)]
pub struct BaseConfig {
    /// `User`.
    pub user: String,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `WorkingDir`.
    pub workdir: Option<String>,
    /// `Volumes`.
    pub volumes: Vec<String>,
    /// `ExposedPorts`.
    pub exposed: Vec<String>,
    /// `StopSignal`.
    pub stop_signal: Option<String>,
}

/// Reads the base's `config` object.
pub fn base_config(facts: &Facts) -> BaseConfig {
    let config = facts.config.get("config");
    let text = |key: &str| config.and_then(|c| c.get(key)).and_then(Value::as_str).map(str::to_owned);
    let list = |key: &str| -> Vec<String> {
        let items = config.and_then(|c| c.get(key)).and_then(Value::as_array);
        items.map(|a| a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()).unwrap_or_default()
    };
    let keys = |key: &str| -> Vec<String> {
        let map = config.and_then(|c| c.get(key)).and_then(Value::as_object);
        map.map(|m| m.keys().cloned().collect()).unwrap_or_default()
    };
    let mut entrypoint = list("Entrypoint");
    if entrypoint.iter().map(String::as_str).take(3).eq(WRAPPER) {
        // A base that k8orc made: its wrapper must not be stacked.
        entrypoint.drain(..3);
    }
    BaseConfig {
        user: text("User").unwrap_or_default(),
        entrypoint,
        cmd: list("Cmd"),
        workdir: text("WorkingDir").filter(|dir| !dir.is_empty()),
        volumes: keys("Volumes"),
        exposed: keys("ExposedPorts"),
        stop_signal: text("StopSignal"),
    }
}

/// Entrypoint and Cmd of the result, without the wrapper.
pub fn command(image: &Image, base: &BaseConfig) -> (Vec<String>, Vec<String>) {
    let values = |list: &[lang::spec::Spanned<String>]| list.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
    if image.entrypoint.is_empty() {
        let cmd = image.command.as_deref().map_or_else(|| base.cmd.clone(), values);
        (base.entrypoint.clone(), cmd)
    } else {
        (values(&image.entrypoint), image.command.as_deref().map(values).unwrap_or_default())
    }
}

/// The whole config object without `rootfs` and `history`.
pub fn final_config(facts: &Facts, image: &Image, user: &Identity, epoch: i64) -> (Value, Diagnostics) {
    let mut problems = Diagnostics::new();
    let base = base_config(facts);
    let mut root: Map<String, Value> = facts.config.as_object().cloned().unwrap_or_default();
    root.remove("rootfs");
    root.remove("history");
    // The id of a container that once ran the base, and the host's name in it: noise that would differ.
    root.remove("container");
    root.remove("container_config");
    root.insert("architecture".into(), json!(facts.platform.arch.oci()));
    root.insert("os".into(), json!("linux"));
    if let Some(variant) = &facts.platform.variant {
        root.insert("variant".into(), json!(variant));
    }
    root.insert("created".into(), json!(crate::time::rfc3339(epoch)));
    let mut config = match root.remove("config") {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    config.insert("User".into(), json!(format!("{}:{}", user.uid, user.gid)));
    let (entrypoint, cmd) = command(image, &base);
    if entrypoint.is_empty() && cmd.is_empty() {
        problems.push(
            Diagnostic::new(codes::E0692, "neither the spec nor the base says which program the image starts")
                .at(image.span, "this image")
                .help("say it: entrypoint \"/usr/sbin/nginx\" \"-g\" \"daemon off;\""),
        );
    }
    let wrapped: Vec<String> = WRAPPER.iter().map(|word| (*word).to_owned()).chain(entrypoint).collect();
    config.insert("Entrypoint".into(), json!(wrapped));
    if cmd.is_empty() {
        config.remove("Cmd");
    } else {
        config.insert("Cmd".into(), json!(cmd));
    }
    config.remove("ArgsEscaped");
    merge_environment(&mut config, image);
    if let Some(workdir) = &image.workdir {
        config.insert("WorkingDir".into(), json!(workdir.value));
    }
    if let Some(signal) = &image.stop_signal {
        config.insert("StopSignal".into(), json!(signal.value));
    }
    add_keys(&mut config, "Labels", image.labels.iter().map(|(k, v)| (k.value.clone(), json!(v.value))));
    add_keys(&mut config, "ExposedPorts", image.expose.iter().map(|port| (port.value.clone(), json!({}))));
    root.insert("config".into(), Value::Object(config));
    (Value::Object(root), problems)
}

fn merge_environment(config: &mut Map<String, Value>, image: &Image) {
    let mut env: Vec<String> = config
        .get("Env")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let mut said: Vec<(&str, &str)> = image.env.iter().map(|(k, v)| (k.value.as_str(), v.value.as_str())).collect();
    said.sort_unstable();
    for (name, value) in said {
        env.retain(|line| line.split_once('=').map_or(line.as_str(), |(key, _)| key) != name);
        env.push(format!("{name}={value}"));
    }
    if !env.iter().any(|line| line.starts_with("PATH=")) {
        env.insert(0, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    }
    config.insert("Env".into(), json!(env));
}

fn add_keys(config: &mut Map<String, Value>, key: &str, more: impl Iterator<Item = (String, Value)>) {
    let mut map = config.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    map.extend(more);
    if !map.is_empty() {
        config.insert(key.into(), Value::Object(map));
    }
}
