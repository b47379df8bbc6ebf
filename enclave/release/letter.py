"""The passphrase letter: one A4 page for print, made once, that leaves no copy but the paper.

It is folded in three; the passphrases are in the middle third, inside. Each group carries a check sign, and the
fingerprint of the registry's bundle key is on it because paper is another road than the one that the kit takes.
"""

import html
from dataclasses import dataclass
from datetime import date

from enclave.crypto.passphrase import check_sign, groups
from enclave.crypto.secret import Secret

STYLE = """
@page { size: A4; margin: 0; }
* { box-sizing: border-box; }
html, body { margin: 0; padding: 0; background: #e8edf0; }
body { font: 11pt/1.45 "Segoe UI", "DejaVu Sans", Arial, sans-serif; color: #111; }
.sheet { position: relative; width: 210mm; height: 297mm; margin: 0 auto; background: #fff; overflow: hidden; }
.third { position: absolute; left: 20mm; right: 20mm; height: 99mm; overflow: hidden; }
.first { top: 0; padding-top: 17mm; } .second { top: 99mm; padding-top: 5mm; } .last { top: 198mm; padding-top: 6mm; }
.fold { position: absolute; left: 0; width: 210mm; border-top: .3mm dashed #777; }
.fold span { position: absolute; right: 6mm; top: -2.2mm; background: #fff; padding: 0 2mm; font-size: 7.5pt;
  line-height: 4.4mm; color: #555; }
h1 { font-size: 19pt; line-height: 1.2; margin: 0 0 5mm; font-weight: 600; }
h2 { font-size: 12pt; margin: 0 0 1.5mm; font-weight: 600; }
p { margin: 0 0 2.2mm; }
.to { font-size: 13pt; margin-bottom: 7mm; }
.secret { border: .4mm solid #111; border-radius: 1.5mm; padding: 3.5mm 4mm 3mm; margin-bottom: 5mm; }
.secret p { margin: 0 0 2mm; font-size: 9.5pt; }
.groups { display: flex; justify-content: space-between; }
.groups div { text-align: center; }
.groups b, .groups > span { font: 700 21pt/1.1 "DejaVu Sans Mono", Consolas, monospace; }
.groups b { display: block; letter-spacing: .3mm; }
.groups small { display: block; margin-top: 1.2mm; font-size: 8.5pt; color: #444; white-space: nowrap; }
.groups small i { font: 700 11pt "DejaVu Sans Mono", Consolas, monospace; color: #111; }
ol.do { margin: 0 0 2.5mm; padding-left: 5.5mm; } ol.do li { margin: 0 0 1.1mm; }
.print { font: 9.5pt "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
.rules { border-top: .3mm solid #999; padding-top: 2mm; font-size: 9.5pt; }
@media screen { .sheet { box-shadow: 0 1mm 5mm rgba(0,0,0,.2); margin: 6mm auto; } }
@media print { html, body { background: #fff; } }
"""


@dataclass(frozen=True)
class LetterContent:
    """What one letter says: the passphrase to send with, where the institution sends, and the one to open with.

    A letter about a rotation has only the new one to send with; the older holds through `older_until`.
    """

    registry_name: str
    recipient: str
    institution_id: str
    inbound_key_id: str
    inbound: Secret | None
    outbound: Secret | None
    fingerprint: str
    made: date
    older_until: date | None = None


def letter_page(content: LetterContent) -> Secret:
    """The letter as one HTML page without script or network; a secret, for a file that is printed and shredded."""
    boxes = []
    if content.inbound is not None:
        told = f"Brukes når dere lager en innsending. Passordets id er <b>{html.escape(content.inbound_key_id)}</b>."
        boxes.append(_box("Passord for å sende inn", told, content.inbound))
    if content.outbound is not None:
        boxes.append(_box("Passord for å åpne", "Brukes når dere åpner det dere får fra registeret.", content.outbound))
    registry, recipient = html.escape(content.registry_name), html.escape(content.recipient)
    page = (
        '<!DOCTYPE html>\n<html lang="nb">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="referrer" content="no-referrer">\n'
        f'<title>Passordbrev</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<article class="sheet">\n'
        f'<section class="third first">\n<p>{registry}</p>\n<h1>Passordbrev</h1>\n'
        f'<p class="to">Til: <b>{recipient}</b><br>Ved den som har ansvar for innsending til registeret</p>\n'
        f"<p>Brevet er laget {_norwegian(content.made)} og finnes bare i ett eksemplar. Deres id er "
        f"<b>{html.escape(content.institution_id)}</b>. {_older(content)}</p>\n"
        "<p>Er brevet åpnet før dere fikk det? Ring registeret på nummeret i avtalen, og ikke bruk passordene.</p>\n"
        "</section>\n"
        '<div class="fold" style="top: 99mm"><span>brett her</span></div>\n'
        f'<section class="third second">\n{"".join(boxes)}</section>\n'
        '<div class="fold" style="top: 198mm"><span>brett her</span></div>\n'
        f'<section class="third last">\n{_instructions(content)}</section>\n</article>\n</body>\n</html>\n'
    )
    return Secret(page.encode("utf-8"))


def _older(content: LetterContent) -> str:
    if content.older_until is None:
        return "Passordene i eldre brev gjelder ikke lenger."
    until = _norwegian(content.older_until)
    return f"Det forrige passordet for å sende inn gjelder til og med {until}. Passordet for å åpne er uendret."


def _box(title: str, told: str, passphrase: Secret) -> str:
    shown = "<span>-</span>\n".join(
        f"<div><b>{html.escape(group)}</b><small>kontroll <i>{check_sign(group, place)}</i></small></div>\n"
        for place, group in enumerate(groups(passphrase), start=1)
    )
    return f'<div class="secret">\n<h2>{title}</h2>\n<p>{told}</p>\n<div class="groups">\n{shown}</div>\n</div>\n'


def _instructions(content: LetterContent) -> str:
    return (
        '<h2>Slik bruker dere brevet</h2>\n<ol class="do">\n'
        "<li>Skriv passordet med store bokstaver og med bindestrekene. "
        "Kontrolltegnene er ikke en del av passordet.</li>\n"
        "<li>Tegnene I, O, 0 og 1 finnes ikke i passordene.</li>\n"
        "<li>Start <b>kontroller-passord.cmd</b> i startpakken for å kontrollere at dere leser tegnene riktig.</li>\n"
        "<li>Fingeravtrykket i <b>fingeravtrykk.txt</b> i startpakken skal være helt likt dette:<br>"
        f'<span class="print">{html.escape(content.fingerprint)}</span></li>\n</ol>\n'
        '<p class="rules">Oppbevar brevet innelåst. Ikke ta kopi eller bilde av det, og ikke skriv passordene i e-post '
        "eller chat. Registeret spør aldri etter dem. Er brevet borte, eller kan andre ha sett det, ring registeret: "
        "da får dere et nytt brev og en ny startpakke.</p>\n"
    )


def _norwegian(day: date) -> str:
    return f"{day.day:02}.{day.month:02}.{day.year}"
