//! Data to stdout, everything else to stderr; nothing from an input reaches a terminal raw.

use std::io::{IsTerminal as _, Write as _};

use diag::{Diagnostics, Severity, SourceMap, render};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Format, Global};

/// How and how much is said.
#[derive(Debug, Clone)]
pub struct Output {
    format: Format,
    quiet: bool,
    verbose: bool,
    color: bool,
    bar: Option<ProgressBar>,
}

impl Output {
    /// From the global options and the environment (`NO_COLOR`, a terminal or not).
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let bar = (terminal && !global.quiet && global.format == Format::Human).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { format: global.format, quiet: global.quiet, verbose: global.verbose, color, bar }
    }

    /// A line on stderr, unless quiet, or where a machine reads stderr.
    pub fn say(&self, line: &str) {
        if !self.quiet && self.format != Format::Json {
            self.clear();
            line_to_stderr(line);
        }
    }

    /// Text on stdout. A closed pipe ends the process quietly, as for any filter.
    pub fn data(&self, text: &str) {
        self.clear();
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            driver::cleanup::now();
            std::process::exit(0);
        }
    }

    /// Renders diagnostics and gives the exit status that they ask for.
    pub fn diagnostics(&self, diagnostics: &Diagnostics, sources: &SourceMap) -> u8 {
        self.clear();
        if self.format == Format::Sarif {
            let sarif = render::sarif(diagnostics, sources, env!("CARGO_PKG_VERSION"));
            self.data(&format!("{sarif:#}\n"));
            return diagnostics.exit();
        }
        for diagnostic in diagnostics.iter() {
            if diagnostic.severity == Severity::Note && !self.verbose && self.format == Format::Human {
                continue;
            }
            if self.quiet && !diagnostic.is_error() {
                continue;
            }
            match self.format {
                Format::Human => line_to_stderr(&format!("{}\n", render::human(diagnostic, sources, self.color))),
                Format::Short => line_to_stderr(&render::one_line(diagnostic, sources).to_string()),
                Format::Json => line_to_stderr(&render::json(diagnostic, sources).to_string()),
                Format::Sarif => {}
            }
        }
        let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        if self.format == Format::Human && !self.quiet && errors > 0 {
            let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
            let and = if warnings > 0 { format!(", {}", plural(warnings, "warning")) } else { String::new() };
            let mut codes = diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.id());
            let first = codes.next().unwrap_or("CODE");
            let code = if codes.all(|code| code == first) { first } else { "CODE" };
            line_to_stderr(&format!("{}{and}; k8orc explain {code} says more", plural(errors, "error")));
        }
        diagnostics.exit()
    }

    /// What was interrupted is gone.
    pub fn interrupted(&self) {
        self.clear();
        line_to_stderr("k8orc: interrupted; nothing half-written was left behind");
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl driver::Progress for Output {
    fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(what.to_owned());
                bar.tick();
                bar.enable_steady_tick(std::time::Duration::from_millis(120));
            }
            None if self.verbose => line_to_stderr(what),
            None => {}
        }
    }

    fn note(&self, line: &str) {
        self.say(line);
    }
}

/// A line on stderr. Nobody may be listening any more (`2>&1 | head`): that is no reason to fail, still less to
/// panic as `eprintln!` does.
pub fn line_to_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
