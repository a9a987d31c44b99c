//! Settings: one struct for each concern, beside the code that uses it, gathered here and read once.
//!
//! Every setting is an environment variable, a flag of the same name, and a line of `--help`. `NAME_FILE` names a file
//! that holds the value, for secrets. A bad value stops the start with one line that names the variable and says what
//! it should be.

use std::{ffi::OsString, path::Path, process::ExitCode, time::Duration};

use clap::{
    Arg, Args, Command, CommandFactory as _, FromArgMatches as _, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// The exit code of a configuration that is wrong: `EX_USAGE` of `sysexits.h`.
const EXIT_USAGE: u8 = 64;

/// Everything that a service can be told from outside. `A` is what only this service has ([`NoSettings`] when nothing).
#[derive(Parser, Clone, Debug)]
#[command(after_help = "Each variable can also be given as NAME_FILE: the path of a file that holds its value.")]
pub struct Config<A: Args> {
    /// The API.
    #[command(flatten)]
    pub edge: crate::edge::Settings,
    /// Probes, metrics and what operators do.
    #[command(flatten)]
    pub admin: crate::admin::Settings,
    /// The database.
    #[command(flatten)]
    pub postgres: crate::postgres::Settings,
    /// The broker.
    #[command(flatten)]
    pub broker: crate::broker::Settings,
    /// How inputs take effect.
    #[command(flatten)]
    pub commit: crate::commit::Settings,
    /// How events get to the stream.
    #[command(flatten)]
    pub relay: crate::relay::Settings,
    /// Who does what one replica does at a time.
    #[command(flatten)]
    pub lease: crate::lease::Settings,
    /// How long the past is kept.
    #[command(flatten)]
    pub partitions: crate::partitions::Settings,
    /// What is heard.
    #[command(flatten)]
    pub inbox: crate::inbox::Settings,
    /// How partners are called.
    #[command(flatten)]
    pub calls: crate::calls::Settings,
    /// Logs, traces, metrics.
    #[command(flatten)]
    pub telemetry: crate::telemetry::Settings,
    /// How long an orderly end may take.
    #[command(flatten)]
    pub shutdown: crate::shutdown::Settings,
    /// What a test has planned.
    #[command(flatten)]
    pub failpoint: crate::failpoint::Settings,
    /// What only this service has.
    #[command(flatten)]
    pub own: A,
}

/// For a service without settings of its own.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(skip)]
pub struct NoSettings {}

/// What a service says of itself before it is configured.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name: in logs, traces, event sources, the user agent.
    pub service: &'static str,
    /// One sentence for `--help` and the API's description.
    pub does: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Defaults that differ from service to service, as (variable, value): ports, above all.
    pub defaults: &'static [(&'static str, &'static str)],
}

/// Why a service does not start.
#[derive(Debug)]
pub enum Stop {
    /// Somebody asked for `--help` or `--version`: the text, with its colours.
    Asked(clap::Error),
    /// One line: the variable, what is wrong with it, what it should be.
    Wrong(String),
}

impl Stop {
    /// Prints the reason; 0 when help was asked for, 64 when a value is wrong.
    pub fn exit(self, about: &About) -> ExitCode {
        match self {
            Self::Asked(help) => match help.print() {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            },
            Self::Wrong(line) => {
                eprintln!("{}: {line}", about.service);
                ExitCode::from(EXIT_USAGE)
            }
        }
    }
}

/// Reads the settings from the process: its arguments, then its environment, then the defaults.
pub fn load<A: Args>(about: &About) -> Result<Config<A>, Stop> {
    parse(about, std::env::args_os(), |name| std::env::var_os(name))
}

/// As [`load`], from arguments (the first is the program) and an environment that are handed in.
pub fn parse<A: Args>(
    about: &About,
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Config<A>, Stop> {
    let shown = described::<A>(about);
    let mut command = shown.clone();
    let known: Vec<(String, String)> =
        shown.get_arguments().filter_map(|arg| Some((arg.get_id().to_string(), variable(arg)?))).collect();
    for (id, name) in &known {
        let value = value_of(name, &env)?;
        // The environment was handed in: clap must not read the process's own. A value of it ranks as a default, below
        // a flag.
        command = command.mut_arg(id, |arg| {
            let arg = arg.env(None::<&'static str>);
            match value {
                Some(value) => arg.required(false).default_value(value),
                None => arg,
            }
        });
    }
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = command.try_get_matches_from(&args).map_err(|error| stop(error, &shown, &args))?;
    Config::from_arg_matches(&matches).map_err(|error| stop(error, &shown, &args))
}

/// A duration as people write it: `250ms`, `5s`, `1m 30s`. For `#[arg(value_parser = …)]`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// The command with this service's name and defaults, and without any value from the environment: what `--help` shows.
fn described<A: Args>(about: &About) -> Command {
    let command = Config::<A>::command()
        .name(about.service)
        .about(about.does)
        .version(about.version)
        .mut_args(|arg| arg.hide_env_values(true));
    about.defaults.iter().fold(command, |command, (name, value)| {
        command.mut_args(
            |arg| {
                if variable(&arg).as_deref() == Some(name) { arg.required(false).default_value(*value) } else { arg }
            },
        )
    })
}

fn variable(arg: &Arg) -> Option<String> {
    arg.get_env().map(|name| name.to_string_lossy().into_owned())
}

/// The value of `NAME`, or the content of the file that `NAME_FILE` names. An empty variable counts as not set.
fn value_of(name: &str, env: &impl Fn(&str) -> Option<OsString>) -> Result<Option<OsString>, Stop> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let file_name = format!("{name}_FILE");
    match (set(name), set(&file_name)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(value)),
        (Some(_), Some(_)) => Err(Stop::Wrong(format!("{name} and {file_name} are both set: set one of them"))),
        (None, Some(path)) => match std::fs::read_to_string(Path::new(&path)) {
            Ok(content) => Ok(Some(content.trim_end_matches(['\n', '\r']).into())),
            Err(error) => Err(Stop::Wrong(format!(
                "{file_name} cannot be read: {error}. It should be the path of a file that holds the value of {name}"
            ))),
        },
    }
}

/// One line from clap's error. A value is never repeated: it may be a secret.
fn stop(error: clap::Error, shown: &Command, args: &[OsString]) -> Stop {
    let mut built = shown.clone();
    built.build();
    let named = || named(&error, &built);
    match error.kind() {
        // Asked again of the command that still knows its variables and their defaults.
        ErrorKind::DisplayHelp => Stop::Asked(shown.clone().try_get_matches_from(args).err().unwrap_or(error)),
        ErrorKind::DisplayVersion => Stop::Asked(error),
        ErrorKind::MissingRequiredArgument => Stop::Wrong(
            named().iter().map(|arg| format!("{} is not set. {}", name_of(arg), should_be(arg))).collect::<Vec<_>>().join("; "),
        ),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let reason =
                std::error::Error::source(&error).map_or_else(|| "not one of its values".to_owned(), ToString::to_string);
            Stop::Wrong(match named().first() {
                Some(arg) => format!("{} is wrong: {reason}. {}", name_of(arg), should_be(arg)),
                None => reason,
            })
        }
        _ => Stop::Wrong(
            error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned() + "; see --help",
        ),
    }
}

/// The arguments that clap's error is about. It names them as help does: `--http-addr <HTTP_ADDR>`.
fn named<'c>(error: &clap::Error, built: &'c Command) -> Vec<&'c Arg> {
    let displayed: &[String] = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(one)) => std::slice::from_ref(one),
        Some(ContextValue::Strings(many)) => many,
        _ => &[],
    };
    built.get_arguments().filter(|arg| displayed.contains(&arg.to_string())).collect()
}

fn name_of(arg: &Arg) -> String {
    variable(arg).unwrap_or_else(|| arg.to_string())
}

fn should_be(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let values = if values.is_empty() || arg.is_hide_possible_values_set() {
        String::new()
    } else {
        format!(" (one of {})", values.join(", "))
    };
    format!("It should be: {}{values}", lowercase_first(help.trim_end_matches('.')))
}

fn lowercase_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret as _, SecretString};

    use super::*;

    const ABOUT: About = About {
        service: "toy",
        does: "Does nothing, for tests.",
        version: "1.2.3",
        defaults: &[("HTTP_ADDR", "127.0.0.1:8099")],
    };

    #[derive(Args, Clone, Debug)]
    #[group(skip)]
    struct Own {
        /// The partner's key, as its dashboard shows it.
        #[arg(long, env = "PARTNER_KEY", hide_default_value = true)]
        partner_key: SecretString,
        /// How long to wait for the partner, such as 5s.
        #[arg(long, env = "PARTNER_TIMEOUT", default_value = "5s", value_parser = duration)]
        partner_timeout: Duration,
    }

    fn with(args: &[&str], env: &[(&str, &str)]) -> Result<Config<Own>, Stop> {
        parse(&ABOUT, ["toy"].iter().chain(args).map(Into::into), |name| {
            let given = env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            // The one variable of the chassis' own that has no default.
            given.or_else(|| (name == "DATABASE_URL").then(|| "postgres://toy@127.0.0.1/toy".into()))
        })
    }

    fn line(result: Result<Config<Own>, Stop>) -> String {
        match result {
            Err(Stop::Wrong(line)) => line,
            other => panic!("expected one line, got {other:?}"),
        }
    }

    #[test]
    fn the_environment_beats_the_default_and_a_flag_beats_the_environment() {
        let config = with(&[], &[("PARTNER_KEY", "sk_1")]).unwrap();
        assert_eq!(config.edge.http_addr.port(), 8099);
        assert_eq!(config.own.partner_timeout, Duration::from_secs(5));
        assert_eq!(config.own.partner_key.expose_secret(), "sk_1");

        let env = [("PARTNER_KEY", "sk_1"), ("PARTNER_TIMEOUT", "250ms"), ("HTTP_ADDR", "")];
        assert_eq!(with(&[], &env).unwrap().own.partner_timeout, Duration::from_millis(250));
        assert_eq!(with(&[], &env).unwrap().edge.http_addr.port(), 8099, "empty counts as not set");
        assert_eq!(with(&["--partner-timeout", "1s"], &env).unwrap().own.partner_timeout, Duration::from_secs(1));
    }

    #[test]
    fn a_secret_can_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sk_from_file\n").unwrap();
        let path = file.path().to_str().unwrap();
        let config = with(&[], &[("PARTNER_KEY_FILE", path)]).unwrap();
        assert_eq!(config.own.partner_key.expose_secret(), "sk_from_file");
        assert_eq!(
            line(with(&[], &[("PARTNER_KEY_FILE", path), ("PARTNER_KEY", "x")])),
            "PARTNER_KEY and PARTNER_KEY_FILE are both set: set one of them"
        );
        assert!(line(with(&[], &[("PARTNER_KEY_FILE", "/nowhere/at/all")])).starts_with("PARTNER_KEY_FILE cannot be read: "));
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_the_variable_and_what_it_should_be() {
        let key = ("PARTNER_KEY", "sk_1");
        let wrong = line(with(&[], &[key, ("PARTNER_TIMEOUT", "soon")]));
        assert!(wrong.starts_with("PARTNER_TIMEOUT is wrong: "), "{wrong}");
        assert!(wrong.ends_with("It should be: how long to wait for the partner, such as 5s"), "{wrong}");
        assert_eq!(wrong.lines().count(), 1);

        let wrong = line(with(&[], &[key, ("LOG_FORMAT", "xml")]));
        assert!(wrong.starts_with("LOG_FORMAT is wrong: "), "{wrong}");
        assert!(wrong.contains("json"), "{wrong}");

        let missing = line(with(&[], &[]));
        assert_eq!(missing, "PARTNER_KEY is not set. It should be: the partner's key, as its dashboard shows it");
        assert_eq!(line(with(&["--nonsense"], &[key])), "unexpected argument '--nonsense' found; see --help");
    }

    #[test]
    fn help_lists_every_variable_with_its_default_and_no_secret() {
        let Err(Stop::Asked(help)) = with(&["--help"], &[("PARTNER_KEY", "sk_secret"), ("HTTP_ADDR", "nonsense")]) else {
            panic!("help is not a configuration")
        };
        let help = help.to_string();
        for expected in
            ["HTTP_ADDR", "127.0.0.1:8099", "ADMIN_ADDR", "RUST_LOG", "PARTNER_KEY", "PARTNER_TIMEOUT", "5s", "NAME_FILE"]
        {
            assert!(help.contains(expected), "{expected} is not in:\n{help}");
        }
        assert!(!help.contains("sk_secret"));
    }
}
