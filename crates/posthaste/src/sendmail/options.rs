//! The command line of `sendmail`, as programs have used it for forty years: options in clusters (`-ti`), values attached
//! or apart (`-fa@b`, `-f a@b`), and many that mean nothing here but must not stop anybody.
//!
//! Not here: what is done then. Where implementations differ, Postfix is followed.

use super::{Trouble, exit};
use posthaste_mail::envelope::{Notify, Ret};
use std::path::PathBuf;

/// RFC 3461 section 4.4, octets.
const MAX_ENVID: usize = 100;
/// Options without a value that are for other implementations or for what happens here anyway.
const IGNORED: &str = "EGIUcmnsv";
/// Options with a value that is of no use here: body type, log file, hop count, tags, protocols and the like.
const IGNORED_WITH_VALUE: &str = "BDLMOQXdehop";

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Options {
    pub(super) mode: Mode,
    /// `-C`: the settings.
    pub(super) config: Option<PathBuf>,
    /// `-f`, `-r`: the reverse-path.
    pub(super) from: Option<String>,
    /// `-F`: the author's name for a missing `From:`.
    pub(super) full_name: Option<String>,
    /// `-t`: the recipients of the header as well.
    pub(super) read_recipients: bool,
    /// Without `-i`: a line that is a dot ends the message.
    pub(super) dot_ends: bool,
    /// `-N`
    pub(super) notify: Option<Notify>,
    /// `-R`
    pub(super) ret: Option<Ret>,
    /// `-V`
    pub(super) envid: Option<String>,
    pub(super) recipients: Vec<String>,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// `-bm`, or nothing: take a message from standard input.
    Deliver,
    /// `-bs`: speak SMTP on standard input and output.
    Smtp,
    /// `-bp`, `mailq`: list the queue.
    Queue,
    /// `-q`: try everything now.
    Flush,
    /// `-bi`, `-I`, `newaliases`.
    Aliases,
    /// `-q30m` and the like: the daemon does so by itself.
    Nothing,
}

/// Reads the arguments after the program's name. `mode`: what the name itself means.
///
/// # Errors
/// With the status 64: an option that nobody knows, or a value that is missing or wrong.
pub(super) fn parse(arguments: &[String], mode: Mode) -> Result<Options, Trouble> {
    let mut options = Options {
        mode,
        config: None,
        from: None,
        full_name: None,
        read_recipients: false,
        dot_ends: true,
        notify: None,
        ret: None,
        envid: None,
        recipients: Vec::new(),
    };
    let mut rest = arguments.iter();
    let mut only_recipients = false;
    while let Some(argument) = rest.next() {
        let cluster = argument.strip_prefix('-').filter(|c| !c.is_empty() && !only_recipients);
        match cluster {
            None => options.recipients.push(argument.clone()),
            Some("-") => only_recipients = true,
            Some(cluster) => options.cluster(cluster, &mut rest)?,
        }
    }
    Ok(options)
}

impl Options {
    fn cluster<'a>(
        &mut self,
        cluster: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Trouble> {
        for (at, option) in cluster.char_indices() {
            let attached = &cluster[at + option.len_utf8()..];
            match option {
                't' => self.read_recipients = true,
                'i' => self.dot_ends = false,
                'I' => self.mode = Mode::Aliases,
                // These may stand alone; what follows belongs to them.
                'q' => return self.queue(attached),
                'A' | 'd' => return Ok(()),
                _ if IGNORED.contains(option) => {}
                _ => return self.with_value(option, attached, rest),
            }
        }
        Ok(())
    }

    fn with_value<'a>(
        &mut self,
        option: char,
        attached: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Trouble> {
        let known = "CFNRVbfr".contains(option) || IGNORED_WITH_VALUE.contains(option);
        if !known {
            return Err(usage(format!("-{option} is not known")));
        }
        let value = match attached {
            "" => rest.next().ok_or_else(|| usage(format!("-{option} needs a value")))?,
            attached => attached,
        };
        match option {
            'C' => self.config = Some(PathBuf::from(value)),
            'F' => self.full_name = Some(value.to_owned()),
            'f' | 'r' => self.from = Some(value.to_owned()),
            'N' => self.notify = Some(notify(value)?),
            'R' => self.ret = Some(ret(value)?),
            'V' => self.envid = Some(envid(value)?),
            'b' => self.mode = self.action(value)?,
            'o' if value == "i" => self.dot_ends = false,
            _ => {}
        }
        Ok(())
    }

    fn action(&self, letter: &str) -> Result<Mode, Trouble> {
        match letter {
            "m" | "a" => Ok(self.mode),
            "s" => Ok(Mode::Smtp),
            "p" => Ok(Mode::Queue),
            "i" => Ok(Mode::Aliases),
            "d" | "D" => Err(usage("-bd: the daemon is started with `posthaste serve`")),
            "v" | "t" => {
                Err(usage(format!("-b{letter}: `posthaste route ADDRESS` tells how mail would go")))
            }
            _ => Err(usage(format!("-b{letter} is not known"))),
        }
    }

    fn queue(&mut self, which: &str) -> Result<(), Trouble> {
        match which.chars().next() {
            None => self.mode = Mode::Flush,
            Some(c) if c.is_ascii_digit() => self.mode = Mode::Nothing,
            Some(_) => {
                let instead = "use `posthaste queue retry ID` or `--where FILTER`";
                return Err(usage(format!("-q{which}: {instead}")));
            }
        }
        Ok(())
    }
}

fn notify(value: &str) -> Result<Notify, Trouble> {
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("never") {
        return Ok(notify);
    }
    for word in value.split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            _ => {
                let allowed = "never, or a list of success, failure and delay";
                return Err(usage(format!("-N {value}: {allowed}")));
            }
        }
    }
    Ok(notify)
}

fn ret(value: &str) -> Result<Ret, Trouble> {
    match value.to_ascii_lowercase().as_str() {
        "full" => Ok(Ret::Full),
        "hdrs" => Ok(Ret::Hdrs),
        _ => Err(usage(format!("-R {value}: full or hdrs"))),
    }
}

fn envid(value: &str) -> Result<String, Trouble> {
    let printable = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if printable && value.len() <= MAX_ENVID {
        return Ok(value.to_owned());
    }
    Err(usage(format!("-V needs 1 to {MAX_ENVID} printable ASCII characters")))
}

fn usage(what: impl Into<String>) -> Trouble {
    Trouble::new(exit::USAGE, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Trouble> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments, Mode::Deliver)
    }

    #[test]
    fn the_lines_that_programs_really_pass() {
        // (program, its line, from, name, -t, a dot ends, recipients)
        for (line, from, name, headers, dot_ends, recipients) in [
            (
                "-i -FCronDaemon -B8BITMIME -oem root",
                None,
                Some("CronDaemon"),
                false,
                false,
                "root",
            ),
            ("-FCronDaemon -odi -oem -oi -or0s joe", None, Some("CronDaemon"), false, false, "joe"),
            ("-t -i", None, None, true, false, ""),
            ("-ti -fwww@a.test", Some("www@a.test"), None, true, false, ""),
            ("-i a@b c@d", None, None, false, false, "a@b c@d"),
            ("-oem -oi -f a@b -- c@d -e@f", Some("a@b"), None, false, false, "c@d -e@f"),
            ("-f a@b -i c@d", Some("a@b"), None, false, false, "c@d"),
            ("-odb -oMi -Am -v -em -G -U -n a@b", None, None, false, true, "a@b"),
            ("-B 8BITMIME -X log -O a=b -L tag -h 3 -r a@b", Some("a@b"), None, false, true, ""),
            ("-bm -f <> a@b", Some("<>"), None, false, true, "a@b"),
        ] {
            let read = read(line).unwrap_or_else(|e| panic!("{line}: {}", e.text));
            assert_eq!(read.mode, Mode::Deliver, "{line}");
            assert_eq!(read.from.as_deref(), from, "{line}");
            assert_eq!(read.full_name.as_deref(), name, "{line}");
            assert_eq!((read.read_recipients, read.dot_ends), (headers, dot_ends), "{line}");
            assert_eq!(read.recipients.join(" "), recipients, "{line}");
        }
        let dsn = read("-N success,DELAY -R hdrs -V id+1 a@b").expect("good");
        assert_eq!(dsn.notify, Some(Notify { success: true, failure: false, delay: true }));
        assert_eq!((dsn.ret, dsn.envid.as_deref()), (Some(Ret::Hdrs), Some("id+1")));
        for (line, mode) in [
            ("-bs -odb", Mode::Smtp),
            ("-bp", Mode::Queue),
            ("-bi", Mode::Aliases),
            ("-I", Mode::Aliases),
            ("-q", Mode::Flush),
            ("-q30m", Mode::Nothing),
        ] {
            assert_eq!(read(line).map(|o| o.mode), Ok(mode), "{line}");
        }
    }

    #[test]
    fn what_nobody_knows_is_said() {
        for line in
            ["-y", "-bd", "-bx", "-f", "-N sometimes", "-R body", "-qRsite", "--help", "-V ä"]
        {
            let trouble = read(line).expect_err(line);
            assert_eq!(trouble.code, exit::USAGE, "{line}");
        }
    }
}
