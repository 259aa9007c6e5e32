//! What a scripted host does at each step of the dialogue, as data.

use std::time::Duration;

/// A step of the dialogue at which a rule may act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The connection stands; before the greeting.
    Greeting,
    /// EHLO, or LHLO where LMTP is spoken.
    Ehlo,
    /// HELO.
    Helo,
    /// STARTTLS, where it is among the keywords; what follows it is the world's.
    StartTls,
    /// AUTH, when the script has accounts.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// After 354, before the content is read: the sender is interrupted.
    Content,
    /// The final dot; in LMTP once for each recipient, whose forward-path is in the line.
    Dot,
}

/// What is done instead of the normal answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// This reply (a whole line or lines, without the last CRLF).
    Reply(String),
    /// This reply, then close.
    ReplyAndClose(String),
    /// Close without a word.
    Close,
    /// The normal answer, after a while.
    Delay(Duration),
    /// Take the message, but close without answering (at [`Step::Dot`]: the sender cannot know).
    TakeAndClose,
    /// Nothing, ever.
    Silence,
}

/// When to do what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// At which step.
    pub at: Step,
    /// Only when the command's line contains this; empty for always.
    pub containing: String,
    /// At most so many times; `None` for always.
    pub times: Option<u32>,
    /// What.
    pub action: Action,
}

/// The behaviour of a host: its EHLO keywords, and rules of which the first that fits acts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Keywords of the EHLO reply.
    pub keywords: Vec<String>,
    /// The rules in order.
    pub rules: Vec<Rule>,
    /// It speaks LMTP (RFC 2033) and no SMTP.
    pub lmtp: bool,
    /// Who may log in: user names with their passwords or tokens. With any, it knows AUTH; the keywords say so.
    pub accounts: Vec<(String, String)>,
    /// MAIL is answered 530 before AUTH.
    pub login_required: bool,
}

impl Default for Script {
    fn default() -> Self {
        let keywords =
            ["PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"];
        Self {
            keywords: keywords.map(str::to_owned).to_vec(),
            rules: Vec::new(),
            lmtp: false,
            accounts: Vec::new(),
            login_required: false,
        }
    }
}

impl Script {
    /// A host that speaks LMTP and no SMTP.
    #[must_use]
    pub fn lmtp() -> Self {
        Self { lmtp: true, ..Self::default() }
    }

    /// Wants clients to log in, with one of these mechanisms, as one account.
    #[must_use]
    pub fn for_account(mut self, mechanisms: &str, user: &str, password: &str) -> Self {
        self.keywords.retain(|keyword| !keyword.starts_with("AUTH"));
        self.keywords.push(format!("AUTH {mechanisms}"));
        self.accounts = vec![(user.to_owned(), password.to_owned())];
        self.login_required = true;
        self
    }

    /// Adds a rule that always acts at a step.
    #[must_use]
    pub fn always(self, at: Step, action: Action) -> Self {
        self.rule(Rule { at, containing: String::new(), times: None, action })
    }

    /// Adds a rule that acts the first `times` times.
    #[must_use]
    pub fn first(self, times: u32, at: Step, action: Action) -> Self {
        self.rule(Rule { at, containing: String::new(), times: Some(times), action })
    }

    /// Adds a rule for command lines that contain a text.
    #[must_use]
    pub fn on(self, at: Step, containing: &str, action: Action) -> Self {
        self.rule(Rule { at, containing: containing.to_owned(), times: None, action })
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Offers exactly these keywords.
    #[must_use]
    pub fn offering(mut self, keywords: &[&str]) -> Self {
        self.keywords = keywords.iter().map(|k| (*k).to_owned()).collect();
        self
    }

    /// The action for a line at a step, counted.
    pub(crate) fn decide(&mut self, at: Step, line: &str) -> Option<Action> {
        let rule = self
            .rules
            .iter_mut()
            .find(|r| r.at == at && r.times != Some(0) && line.contains(&r.containing))?;
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        Some(rule.action.clone())
    }
}

/// A message that reached its final dot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The MAIL command's argument, `FROM:` included.
    pub from: String,
    /// The RCPT commands' arguments that were accepted, `TO:` included.
    pub to: Vec<String>,
    /// The content, unstuffed.
    pub content: Vec<u8>,
    /// The final dot was answered with 250 (and the answer was handed to the network).
    pub acknowledged: bool,
}

impl Arrival {
    /// The bare forward-paths.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        self.to
            .iter()
            .filter_map(|t| Some(t.split_once('<')?.1.split_once('>')?.0.to_owned()))
            .collect()
    }

    /// The value of a header field, unfolded naively; for tests that wrote the message themselves.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.content).into_owned();
        let head = text.split("\r\n\r\n").next()?.to_owned();
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}
