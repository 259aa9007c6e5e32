//! The arguments of MAIL and RCPT as a whole: path and parameters (RFC 5321 section 4.1.1).
//!
//! Not here: what follows `FROM:` and `TO:` in detail (`path`, `params`), and whether the command may come now.

use super::{Extensions, Fault, ForwardPath, MailParams, RcptParams, params, path};
use posthaste_mail::ReversePath;

/// Reads what follows `FROM:`, for example `<a@example.org> RET=HDRS`. `origin`: the domain of a bare name; `None` where
/// those are refused.
///
/// # Errors
/// The [`Fault`] with which a session would answer.
pub fn read_mail(
    argument: &str,
    extensions: &Extensions,
    origin: Option<&str>,
) -> Result<(ReversePath, MailParams), Fault> {
    let (inner, rest) = path::split(argument).ok_or(Fault::MailSyntax)?;
    let params = params::mail(rest, extensions)?;
    let reverse_path = path::reverse(inner, params.smtputf8, origin).map_err(Fault::Sender)?;
    Ok((reverse_path, params))
}

/// Reads what follows `TO:`. `utf8`: SMTPUTF8 was given with MAIL; `origin` as with [`read_mail`].
///
/// # Errors
/// The [`Fault`] with which a session would answer.
pub fn read_rcpt(
    argument: &str,
    extensions: &Extensions,
    utf8: bool,
    origin: Option<&str>,
) -> Result<(ForwardPath, RcptParams), Fault> {
    let (inner, rest) = path::split(argument).ok_or(Fault::RcptSyntax)?;
    let params = params::rcpt(rest, extensions, utf8)?;
    let forward_path = path::forward(inner, utf8, origin).map_err(Fault::Recipient)?;
    Ok((forward_path, params))
}
