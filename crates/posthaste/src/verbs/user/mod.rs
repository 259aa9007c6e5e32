//! `user add|passwd|list|remove|disable|enable`: the file of those who may log in, with or without a daemon.
//!
//! Not here: the file itself (`crate::users`).

mod password;

use super::counted;
use crate::cli::{Global, PasswordArgs, UserVerb};
use crate::config;
use crate::daemon::privileges;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::place;
use crate::table::Table;
use crate::users::password::{Form, Kept};
use crate::users::{Book, User, check_name, store};
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

pub(super) fn run(global: &Global, verb: UserVerb, out: &Out) -> Result<(), Failure> {
    let loaded = config::load(place::config_file(global).as_deref(), global.allow_clock_scale)?;
    let config::Config { users, process, admin, .. } = loaded.config;
    let file = File { path: users, socket: admin.socket, process };
    match verb {
        UserVerb::Add {
            name,
            password,
            senders,
            messages_per_minute,
            recipients_per_minute,
            recipients_per_day,
        } => {
            let wanted = |kept| User {
                senders,
                messages_per_minute,
                recipients_per_minute,
                recipients_per_day,
                ..User::new(&name, kept)
            };
            file.add(&name, &password, wanted, out)
        }
        UserVerb::Passwd { name, password } => file.passwd(&name, &password, out),
        UserVerb::List => file.list(out),
        UserVerb::Remove { name } => {
            file.change(&name, |book| book.remove(&name).then_some(()))?;
            file.done(&json!({ "name": name }), &format!("{name} is removed"), out);
            Ok(())
        }
        UserVerb::Disable { name } => file.disable(&name, true, out),
        UserVerb::Enable { name } => file.disable(&name, false, out),
    }
}

struct File {
    path: PathBuf,
    socket: PathBuf,
    process: config::Process,
}

impl File {
    fn add(
        &self,
        name: &str,
        args: &PasswordArgs,
        user: impl FnOnce(Kept) -> User,
        out: &Out,
    ) -> Result<(), Failure> {
        check_name(name).map_err(Failure::usage)?;
        // Whoever is there already is told before the password is asked for, and looked for again under the lock.
        if store::read(&self.path)?.find(name).is_some() {
            return Err(exists(name));
        }
        self.prepare()?;
        let (password, made) = password::get(args, name)?;
        let form = if args.scram { Form::Scram } else { Form::Argon2id };
        let user = user(Kept::of(&password, form)?);
        user.check().map_err(Failure::usage)?;
        let mut shown = view(&user);
        store::change(&self.path, |book| match book.find(name) {
            Some(_) => Err(exists(name)),
            None => {
                book.add(user);
                Ok(())
            }
        })?;
        password::show(made.as_ref(), &mut shown, out);
        self.done(&shown, &format!("{name} is added"), out);
        Ok(())
    }

    fn passwd(&self, name: &str, args: &PasswordArgs, out: &Out) -> Result<(), Failure> {
        let kept = store::read(&self.path)?.find(name).map(|user| user.password.form());
        let before = kept.ok_or_else(|| self.unknown(name))?;
        let (password, made) = password::get(args, name)?;
        let form = if args.scram { Form::Scram } else { before };
        let kept = Kept::of(&password, form)?;
        let mut shown = self.change(name, |book| {
            book.find(name).map(|user| {
                user.password = kept;
                view(user)
            })
        })?;
        password::show(made.as_ref(), &mut shown, out);
        self.done(&shown, &format!("{name} has another password"), out);
        Ok(())
    }

    fn disable(&self, name: &str, disabled: bool, out: &Out) -> Result<(), Failure> {
        let shown = self.change(name, |book| {
            book.find(name).map(|user| {
                user.disabled = disabled;
                view(user)
            })
        })?;
        let said = if disabled { "cannot log in any more" } else { "can log in" };
        self.done(&shown, &format!("{name} {said}"), out);
        Ok(())
    }

    fn list(&self, out: &Out) -> Result<(), Failure> {
        let book = store::read(&self.path)?;
        let users: Vec<Value> = book.users().map(view).collect();
        if out.is_json() {
            out.object(&json!({ "v": 1, "file": self.path, "users": users }));
            return Ok(());
        }
        let mut table = Table::new(&["USER", "PASSWORD", "STATE", "LIMITS", "SENDS AS"]);
        for user in book.users() {
            let state = if user.disabled { "disabled" } else { "enabled" };
            table.row(vec![
                user.name.clone(),
                user.password.form().name().to_owned(),
                state.to_owned(),
                limits(user),
                sends_as(user),
            ]);
        }
        table.print(out, &format!("no users in {}", self.path.display()));
        Ok(())
    }

    fn change<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Book) -> Option<T>,
    ) -> Result<T, Failure> {
        if !self.path.exists() {
            return Err(self.unknown(name));
        }
        store::change(&self.path, |book| change(book).ok_or_else(|| self.unknown(name)))
    }

    fn unknown(&self, name: &str) -> Failure {
        let message = format!("there is no user {name} in {}", self.path.display());
        Failure::new(Exit::NotFound, "not-found", message)
    }

    /// Folder and file, when the daemon has never run: by root for the user that it becomes, who must read them.
    fn prepare(&self) -> Result<(), Failure> {
        let owner = privileges::owner(&self.process)?;
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            privileges::make_folder(parent, owner.as_ref())?;
        }
        Ok(owner.map_or(Ok(()), |owner| store::begin(&self.path, owner.ids()))?)
    }

    /// Tells what was done and who will see it.
    fn done(&self, user: &Value, said: &str, out: &Out) {
        let runs = UnixStream::connect(&self.socket).is_ok();
        if out.is_json() {
            out.object(&json!({ "v": 1, "file": self.path, "user": user, "daemon": runs }));
            return;
        }
        out.line(said);
        out.remark(match runs {
            true => "the daemon sees it within 10 seconds",
            false => "no daemon runs with these settings; the next one will see it",
        });
    }
}

fn exists(name: &str) -> Failure {
    let message = format!(
        "there is a user {name} already; `posthaste user passwd {name}` changes the password"
    );
    Failure::new(Exit::Failed, "exists", message)
}

/// Without the password.
fn view(user: &User) -> Value {
    json!({
        "name": user.name,
        "password": user.password.form().name(),
        "senders": user.senders,
        "messages_per_minute": user.messages_per_minute,
        "recipients_per_minute": user.recipients_per_minute,
        "recipients_per_day": user.recipients_per_day,
        "disabled": user.disabled,
    })
}

fn limits(user: &User) -> String {
    let said = |limit: Option<u32>, what, time| {
        limit.map(|limit| format!("{} a {time}", counted(&json!(limit), what)))
    };
    let all = [
        said(user.messages_per_minute, "message", "minute"),
        said(user.recipients_per_minute, "recipient", "minute"),
        said(user.recipients_per_day, "recipient", "day"),
    ];
    let own: Vec<String> = all.into_iter().flatten().collect();
    if own.is_empty() { "as for all".to_owned() } else { own.join(", ") }
}

fn sends_as(user: &User) -> String {
    let own = user.name.contains('@').then(|| user.name.clone());
    let all: Vec<String> = own.into_iter().chain(user.senders.iter().cloned()).collect();
    if all.is_empty() { "nobody yet: --sender says whom".to_owned() } else { all.join(", ") }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        match &error {
            store::StoreError::Wrong { .. } => {
                Self::new(Exit::Usage, "bad-users", error.to_string())
            }
            store::StoreError::System { .. } => Self::failed(error.to_string()),
        }
    }
}

/// For `config check`: what is wrong with the file.
pub(super) fn check(path: &Path) -> Result<Option<String>, Failure> {
    store::read(path)?;
    let open = store::is_open_to_others(path);
    Ok(open
        .then(|| "it can be read by others: passwords can be tried with it; chmod 600".to_owned()))
}
