"""Ready-made e-mails to an institution. None says that something has arrived, or that somebody is in the registry.

What an e-mail tells by when it is sent is a message too: the reminder goes to everyone on the same day each month,
whether or not something waits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Mail(StrEnum):
    """The e-mails there are."""

    KIT = "startpakke"
    LETTER = "brev"
    REMINDER = "paaminnelse"


@dataclass(frozen=True)
class MailText:
    """One e-mail, ready to paste."""

    subject: str
    body: str


TEXTS: Mapping[Mail, MailText] = MappingProxyType(
    {
        Mail.KIT: MailText(
            "Startpakke fra {registry}",
            "Hei,\n\n"
            "velkommen som deltaker i {registry}. Dere får en startpakke på den måten vi har avtalt. Den inneholder "
            "ingen hemmeligheter. Kopier den til en PC som bare brukes av dem som arbeider med registeret, og åpne "
            "veiledning.html.\n\n"
            "Dere får også et brev i posten. Vent med å ta startpakken i bruk til dere har sammenlignet "
            "fingeravtrykket i brevet med filen fingeravtrykk.txt.\n\n"
            "Send aldri opplysninger om deltakere på e-post. Har dere spørsmål, ring oss på nummeret i avtalen.\n\n"
            "Vennlig hilsen\n{registry}\n",
        ),
        Mail.LETTER: MailText(
            "Brev fra {registry}",
            "Hei,\n\n"
            "vi sender dere et brev i posten. Det er til den som sender inn til {registry}. Ring oss på nummeret i "
            "avtalen hvis brevet ikke er hos dere innen to uker, eller hvis konvolutten er åpnet.\n\n"
            "Ikke ta bilde av brevet, og ikke skriv noe fra det i e-post. Vi spør aldri etter det som står der.\n\n"
            "Vennlig hilsen\n{registry}\n",
        ),
        Mail.REMINDER: MailText(
            "Fast påminnelse fra {registry}",
            "Hei,\n\n"
            "denne e-posten går til alle institusjoner på samme dag hver måned, enten det er noe å hente eller ikke. "
            "Se i slusen, og følg veiledningen i startpakken.\n\n"
            "Dere skal ikke svare på denne e-posten. Send aldri opplysninger om deltakere på e-post.\n\n"
            "Vennlig hilsen\n{registry}\n",
        ),
    }
)


def mail_text(mail: Mail, registry_name: str) -> MailText:
    """An e-mail for any institution of a registry: the same words for everyone."""
    text = TEXTS[mail]
    return MailText(text.subject.format(registry=registry_name), text.body.format(registry=registry_name))
