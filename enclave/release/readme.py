"""The texts that travel with a package: how to read it, and the script by which Windows verifies it."""

from collections.abc import Mapping
from types import MappingProxyType

from enclave.model.draft import Kind

WHAT: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.RELEASABLE_TABLE: (
            "Resultater fra registeret.",
            "",
            "  rapport.html      Åpne denne først. Den vises i nettleseren, trenger ikke nett, og kan skrives ut.",
            "  resultater.xlsx   De samme tallene i Excel.",
            "  csv/              De samme tallene for andre programmer (semikolon, desimalkomma, UTF-8).",
            "",
            "Tallene er de samme overalt. Et tall som er holdt tilbake, vises som en prikk (·).",
        ),
        Kind.FEEDBACK: (
            "Tilbakemelding på en innsending: hver rad som ikke kunne tas imot, med regel og råd.",
            "",
            "  tilbakemelding.xlsx   Åpne denne i Excel.",
            "  tilbakemelding.csv    Det samme for andre programmer.",
            "",
            "Filene bruker deres egne referanser. Oppbevar dem som dere oppbevarer journalopplysninger.",
        ),
        Kind.RECEIPT: (
            "Kvittering for en innsending.",
            "",
            "  kvittering.txt    Til å lese.",
            "  kvittering.json   Det samme for programmer.",
        ),
        Kind.CERTIFICATE: (
            "Attest for at lånte opplysninger er slettet.",
            "",
            "  sertifikat.txt    Til å lese: hva som er kontrollert, og hva attesten ikke kan omfatte.",
            "  sertifikat.json   Det samme for programmer.",
            "  bevis.tlog-proof  Bevis for at slettingen står i revisjonsloggen. Kontrolleres slik, uten oss:",
            "                    python verify.py --proof bevis.tlog-proof --vkey vkey",
            "  vkey              Nøkkelen som loggen er underskrevet med. Sammenlign den med den i avtalen.",
            "  verify.py         Kontrollprogrammet, som bare trenger Python 3.9 eller nyere.",
        ),
        Kind.CHECKPOINT: ("Sjekkpunkt fra registerets revisjonslogg.",),
        Kind.OWN_RECORDS: (
            "Deres egne rader: det dere selv har sendt inn, med deres egne forløpsnumre.",
            "",
            "  egne_rader.xlsx   Åpne denne i Excel. Ett ark for hvert skjema.",
            "  csv/              De samme radene for andre programmer (semikolon, desimalkomma, UTF-8).",
            "",
            "Oppbevar filene som dere oppbevarer journalopplysninger.",
        ),
        Kind.LOAN_ORDER: (
            "Bestilling av lånte opplysninger.",
            "",
            "  bestilling.txt    Les denne først: hva det bes om, og hvordan svaret skal forsegles.",
            "  bestilling.age    Fødselsnumrene, forseglet til deres egen nøkkel.",
        ),
        Kind.EXTRACT: (
            "Avidentifiserte opplysninger, lånt ut til et forskningsprosjekt.",
            "",
            "  uttrekk.txt       Les denne først: vilkårene, og hvordan filen åpnes.",
            "  uttrekk.age       Opplysningene, forseglet til prosjektets egen nøkkel.",
            "  variabler.csv     Hva kolonnene betyr.",
        ),
        Kind.KIT: (
            "Åpne veiledning.html. Den forteller hvordan dere sender inn og tar imot.",
            "",
            "  veiledning.html          Start her.",
            "  skjema                   Ett eksempel for hvert skjema, for Excel og som CSV.",
            "  lag-innsending.cmd       Dra mappen med CSV-filene hit for å lage en innsending.",
            "  verifiser.cmd            Dra en pakke hit for å se at den kommer fra registeret.",
            "  kontroller-passord.cmd   Kontrollerer at dere leser passordene i brevet riktig.",
            "  fingeravtrykk.txt        Skal være likt det som står i brevet.",
            "  allowed_signers          Registerets offentlige nøkkel. Brukes av verifiser.cmd.",
            "",
            "For IT-avdelingen, når en innsending lages for hånd:",
            "",
            "  maler/manifest-inne.json",
            "  maler/manifest-ute.json",
            "  nokler/age.txt           Registerets nøkler, når innsendingen forsegles med age",
            "  nokler/openpgp.asc       eller OpenPGP og ikke med passordet.",
            "",
            "Denne filen heter LES_MEG_FORST.txt. Pakken inneholder ingen hemmeligheter. Passordene kommer i brev.",
        ),
        Kind.NOTICE: (
            "Melding fra registeret.",
            "",
            "  melding.txt       Til å lese.",
            "  oppfolging.xlsx   Følger med når meldingen gjelder oppfølginger: listen med deres egne forløpsnumre.",
            "  oppfolging.csv    Den samme listen for andre programmer.",
        ),
    }
)


def readme(kind: Kind, registry: str, recipient: str) -> bytes:
    """The readme of a package in Norwegian: UTF-8 with BOM and CRLF, as Notepad wants it."""
    lines = (
        f"Fra: registeret {registry}",
        f"Til: {recipient or 'alle'}",
        "",
        *WHAT[kind],
        "",
        "I tillegg ligger her:",
        "",
        "  MANIFEST.json     Hvilke filer pakken har, med kontrollsummer, og hva den er laget av.",
        "  sjekkpunkt.txt    Underskrevet sjekkpunkt fra revisjonsloggen. Ta vare på det: med et gammelt sjekkpunkt",
        "                    kan en revisor se om loggen er skrevet om senere.",
        "  fyll.bin          Bare fyllstoff, så størrelsen ikke røper noe. Den kan slettes.",
        "",
        "Er noe galt, eller er pakken ikke til dere? Ikke åpne filene, og ring registeret på nummeret i avtalen.",
    )
    return "".join(line + "\r\n" for line in lines).encode("utf-8-sig")


def verify_script(archive: str, registry: str) -> bytes:
    """A Windows script that verifies the archive beside it by the `ssh-keygen` that Windows has; ASCII and CRLF.

    The registry's public key comes from the kit, never from beside the package: who can replace the package can
    replace what lies beside it, and this script too. The kit holds the same command on paper.
    """
    who = f"-I enclave@{registry} -n bundle@{registry}"
    lines = (
        "@echo off",
        "rem Kontrollerer at pakken kommer fra registeret og ikke er endret.",
        "rem Bruk: dobbeltklikk, eller dra filen allowed_signers fra startpakken hit.",
        "setlocal",
        'set "SIGNERS=%~1"',
        f'if "%SIGNERS%"=="" set "SIGNERS=%USERPROFILE%\\enclave\\{registry}\\allowed_signers"',
        'if not exist "%SIGNERS%" goto nokey',
        f'ssh-keygen -Y verify -f "%SIGNERS%" {who} -s "%~dp0{archive}.sig" < "%~dp0{archive}"',
        "if errorlevel 1 goto bad",
        "echo.",
        "echo OK: Pakken kommer fra registeret og er ikke endret.",
        "pause",
        "exit /b 0",
        ":nokey",
        "echo Fant ikke allowed_signers. Legg filen fra startpakken i %USERPROFILE%\\enclave\\" + registry + "\\",
        "pause",
        "exit /b 2",
        ":bad",
        "echo.",
        "echo FEIL: Signaturen stemmer ikke. Ikke aapne pakken. Ring registeret.",
        "pause",
        "exit /b 1",
    )
    return "".join(line + "\r\n" for line in lines).encode("ascii")
