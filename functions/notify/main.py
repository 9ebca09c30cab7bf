"""Notify: an event says that a job has ended, and its owner gets one email, with a link or with the reason."""

from flask import Request, Response

from functions.model.errors import MailRefused, Unavailable
from functions.model.jobs import State
from functions.notify import emails
from functions.runtime import web, wiring

services = wiring.Services("notify")
POSTPONED = 600  # seconds an email waits where its address has had the emails of an hour


@web.serves("POST", ready=services.ready)
def notify(request: Request) -> Response:
    owed = services.notifications.claim(web.event(request).job)
    if owed is None:
        return web.nothing_follows("nobody is owed an email about this job, or another is writing it")
    if owed.mails_this_hour >= services.settings.mails_per_hour:
        services.notifications.postpone(owed, POSTPONED, "too many emails to this address in an hour")
        return web.nothing_follows("too many emails to this address in an hour; later")
    home = services.settings.public_url.rstrip("/")
    link = (
        f"{home}/download?fid={owed.fid}&token={services.links.sign(owed.fid)}"
        if owed.outcome == State.DONE
        else f"{home}/"
    )
    try:
        services.mailer.send(emails.compose(owed, services.settings.mail_from, link))
    except MailRefused as error:
        services.notifications.give_up(owed, str(error))
        return web.nothing_follows(str(error))
    except Unavailable as error:
        services.notifications.postpone(owed, 60, str(error))
        raise
    services.notifications.sent(owed)
    return web.nothing_follows("the email was sent")
