//! Notices as the operators' interface asks for them: what a sender would be told now, and when next.
//!
//! Not here: composing and sending them (`dispatch`).

use super::Daemon;
use super::desk::fault;
use posthaste_admin::desk::PreviewFault;
use posthaste_dispatch::PreviewFault as NoPreview;
use posthaste_evidence::{NoticeKind, Withheld};
use posthaste_mail::QueueId;
use posthaste_message::dsn::Composed;

impl Daemon {
    /// The notice that would be sent now; `None` when the message is not here.
    pub(super) async fn preview_notice(
        &self,
        id: QueueId,
        kind: NoticeKind,
        language: Option<&str>,
    ) -> Result<Option<Composed>, PreviewFault> {
        let settings = self.settings();
        let wordings = &settings.dispatch.sender.wordings;
        if let Some(asked) = language.filter(|tag| wordings.has(tag).is_none()) {
            let there = wordings.languages().map(str::to_owned).collect();
            return Err(PreviewFault::NoSuchLanguage { asked: asked.to_owned(), there });
        }
        match self.dispatch.preview(id, kind, language).await {
            Ok(composed) => Ok(Some(composed)),
            Err(NoPreview::Unknown) => Ok(None),
            Err(NoPreview::Read(why)) => Err(fault(why).into()),
            Err(NoPreview::Withheld(why)) => Err(PreviewFault::NoNotice(none(id, kind, why))),
        }
    }
}

/// Why no sender would get it, and what to ask for instead.
fn none(id: QueueId, kind: NoticeKind, why: Withheld) -> String {
    let because = match why {
        Withheld::NullPath => "it has no sender who could be told (<>): it is a notice itself",
        Withheld::AnswersNotice => {
            "it answers a notice, or is a report itself: telling of it could be a loop"
        }
        Withheld::StrangersRate => "its sender is a stranger who has been sent enough notices",
        Withheld::NotAsked => match kind {
            NoticeKind::Delivered | NoticeKind::Relayed => {
                "its sender has not asked to be told of success (NOTIFY=SUCCESS)"
            }
            NoticeKind::Delayed | NoticeKind::AllClear => {
                "its sender has not asked to be told of delays (NOTIFY), or is a stranger, who is not"
            }
            NoticeKind::Failed => "its sender has asked not to be told of failures (NOTIFY)",
        },
    };
    format!("no notice of the kind {} would be sent for {id}: {because}", kind.name())
}
