//! What can be typed. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Turns a prebuilt container image into a lean, locked-down foundation for Kubernetes.
///
/// A spec.kdl says what is kept; `k8orc build spec.kdl` makes the image, the seccomp profile, the manifests
/// and the report.
#[derive(Debug, Parser)]
#[command(name = "k8orc", version, max_term_width = 100)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every verb.
#[derive(Debug, Clone, ClapArgs)]
pub struct Global {
    /// How diagnostics are written to stderr (sarif: to stdout)
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Directory of the cache [default: $K8ORC_CACHE, $XDG_CACHE_HOME/k8orc or ~/.cache/k8orc]
    #[arg(long, global = true, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Formats of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Annotated source
    Human,
    /// One line each
    Short,
    /// One JSON object each
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

/// The spec and how it is read.
#[derive(Debug, Clone, ClapArgs)]
pub struct SpecArgs {
    /// The spec
    #[arg(default_value = "spec.kdl", value_name = "SPEC")]
    pub spec: PathBuf,
    /// Set a param of the spec: -p tag=1.1
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    pub param: Vec<(String, String)>,
}

/// What may change and be fetched.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct LockArgs {
    /// The lock may not change
    #[arg(long)]
    pub locked: bool,
    /// Nothing is fetched
    #[arg(long)]
    pub offline: bool,
    /// --locked and --offline
    #[arg(long)]
    pub frozen: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented starter spec from an existing image
    Init {
        /// Registry reference, oci:DIR, docker-archive:FILE, tar:FILE or dir:DIR
        image: String,
        /// Where to write
        #[arg(short, long, default_value = "spec.kdl")]
        output: PathBuf,
        /// Platform of the image
        #[arg(long, default_value = "linux/amd64")]
        platform: String,
    },
    /// Build the image, the profile, the manifests and the report into OUT/NAME
    Build {
        #[command(flatten)]
        spec: SpecArgs,
        #[command(flatten)]
        lock: LockArgs,
        /// Directory for the output
        #[arg(short, long, default_value = "out", value_name = "DIR")]
        out: PathBuf,
        /// Threads that compress [default: one a core]
        #[arg(short, long, value_name = "N")]
        jobs: Option<usize>,
        /// Also write a docker-archive, for docker load and podman load
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
    },
    /// Check a spec against its base without building
    Check {
        #[command(flatten)]
        spec: SpecArgs,
        #[command(flatten)]
        lock: LockArgs,
        /// Only the spec itself: no base is read
        #[arg(long)]
        syntax: bool,
    },
    /// Format specs in place
    Fmt {
        /// Files; `-` reads stdin and writes stdout
        #[arg(default_value = "spec.kdl")]
        files: Vec<PathBuf>,
        /// Change nothing, fail when something would change
        #[arg(long)]
        check: bool,
    },
    /// Pin bases and ids in k8orc.lock
    Lock {
        #[command(flatten)]
        spec: SpecArgs,
        /// Ask anew what every base is now (the ids stay)
        #[arg(long)]
        update: bool,
    },
    /// Bring what the lock names into the cache
    Fetch {
        #[command(flatten)]
        spec: SpecArgs,
    },
    /// Look at the cache or free it
    Cache {
        #[command(subcommand)]
        action: CacheAction,
    },
    /// Say why a path, package, user, group or syscall stays or goes, or explain a code
    Explain {
        /// /usr/bin/perl, package:perl-base, user:www-data, group:mail, syscall:ptrace, image:NAME, E0301
        thing: String,
        #[command(flatten)]
        spec: SpecArgs,
    },
    /// Compare two outputs: packages, accounts, setuid, paths, bytes
    Diff {
        /// The older output (OUT/NAME)
        old: PathBuf,
        /// The newer output
        new: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the built image under its profile, with its checks and probes
    Test {
        #[command(flatten)]
        spec: SpecArgs,
        /// Directory of the output
        #[arg(short, long, default_value = "out", value_name = "DIR")]
        out: PathBuf,
        /// Only this workload
        #[arg(long)]
        workload: Option<String>,
    },
    /// Push the built image to the spec's registry
    Push {
        /// The output (OUT/NAME)
        output: PathBuf,
        /// Where to, with a tag: registry.example.com/team/name:1.0
        reference: String,
    },
    /// Write the deployment graph
    Graph {
        #[command(flatten)]
        spec: SpecArgs,
        /// As JSON instead of SVG
        #[arg(long)]
        json: bool,
    },
    /// Print the schema of the language
    Schema {
        /// As a reference in Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Print completions for a shell
    Completions {
        /// bash, zsh, fish, elvish, powershell
        shell: clap_complete::Shell,
    },
}

/// Actions on the cache.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum CacheAction {
    /// Show where it is and how large
    Info,
    /// Remove what was used longest ago
    Gc {
        /// Keep at most this many bytes (10 GiB where not said; 0 empties it)
        #[arg(long, value_name = "BYTES")]
        max: Option<u64>,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as NAME=VALUE".to_owned())
}
