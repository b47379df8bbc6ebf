"""The scripts of a kit for Windows: make a drop, verify a package, check a passphrase that was copied from paper.

They use what Windows 10 and 11 have (`cmd`, `certutil`, `reg`, `ssh-keygen`) and 7-Zip; no PowerShell. ASCII and
CRLF. What goes into them is an institution's id, a key id, a registry's id and names of forms, whose grammars leave no
character that `cmd` could take for its own.
"""

from collections.abc import Sequence

from enclave.crypto.passphrase import ALPHABET

MAKE_DROP = r"""@echo off
rem Lager en innsending til registeret {registry}: dra mappen med skjemafilene hit.
setlocal EnableExtensions DisableDelayedExpansion
set "HERE=%USERPROFILE%\enclave\{registry}"
set "KEY=%HERE%\signing_key"
set "SEVENZIP="
for %%Z in ("%ProgramFiles%\7-Zip\7z.exe" "%ProgramW6432%\7-Zip\7z.exe") do if exist "%%~Z" set "SEVENZIP=%%~Z"
if not exist "%KEY%" goto nokey
if not defined SEVENZIP goto noseven
if "%~1"=="" goto usage
pushd "%~1" 2>nul
if errorlevel 1 goto usage
set "FOUND="
for %%F in ({files}) do if exist "%%F" set "FOUND=yes"
if not defined FOUND goto nofiles

call :now
if errorlevel 1 goto notime
call :newid
if errorlevel 1 goto failed
set "READY=%HERE%\klar\%DROP%"
set "INSIDE=%HERE%\klar\%DROP%-inne"
mkdir "%READY%" "%INSIDE%"
if errorlevel 1 goto failed

set "FILES="
set "COMMA="
set "BAD="
> "%INSIDE%\manifest.json" echo {{"drop_id": "%DROP%", "sender": "{sender}", "recipient_kid": "{kid}", "files": [
for %%F in ({files}) do if exist "%%F" call :file "%%F"
if defined BAD goto failed
>> "%INSIDE%\manifest.json" echo ]}}

echo.
echo 7-Zip ber naa to ganger om passordet for aa sende inn. Skriv det fra brevet, med bindestrekene.
echo Tegnene vises ikke mens du skriver.
"%SEVENZIP%" a -tzip -mem=AES256 -p "%READY%\payload.zip" "%INSIDE%\manifest.json" %FILES%
if errorlevel 1 goto failed
rmdir /s /q "%INSIDE%"

call :hash "%READY%\payload.zip"
if errorlevel 1 goto failed
for %%P in ("%READY%\payload.zip") do set "SIZE=%%~zP"
> "%READY%\manifest.json" echo {{"v": 1, "registry": "{registry}", "drop_id": "%DROP%", "sender": "{sender}",
>> "%READY%\manifest.json" echo  "created_at": "%NOW%", "recipient_kid": "{kid}", "format": "aes-zip",
>> "%READY%\manifest.json" echo  "payload_sha256": "%HASH%", "payload_size": %SIZE%}}
ssh-keygen -Y sign -f "%KEY%" -n drop@{registry} "%READY%\manifest.json"
if errorlevel 1 goto failed
popd
echo.
echo OK: Innsendingen er klar. Last opp denne mappen slik veiledningen sier:
echo %READY%
pause
exit /b 0

:now
rem NOW er klokken naa med tidssone, skrevet slik manifestet krever.
set "DAY="
if "%DATE:~2,1%%DATE:~5,1%"==".." set "DAY=%DATE:~6,4%-%DATE:~3,2%-%DATE:~0,2%"
if not defined DAY set /p "DAY=Skriv dagens dato slik, med bindestrek, AAAA-MM-DD: "
if not defined DAY exit /b 1
if not "%DAY:~4,1%%DAY:~7,1%"=="--" exit /b 1
if not "%DAY:~10%"=="" exit /b 1
set "CLOCK=%TIME: =0%"
set "CLOCK=%CLOCK:~0,2%:%CLOCK:~3,2%:%CLOCK:~6,2%"
if "%CLOCK:~7,1%"=="" exit /b 1
set "ZONE=HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation"
set "BIAS="
for /f "tokens=1,3" %%A in ('reg query "%ZONE%" /v ActiveTimeBias') do if "%%A"=="ActiveTimeBias" set /a "BIAS=%%B"
if not defined BIAS exit /b 1
set /a "EAST=0-BIAS"
set "SIGN=+"
if %EAST% lss 0 set "SIGN=-"
if %EAST% lss 0 set /a "EAST=BIAS"
set /a "HOURS=100+EAST/60"
set /a "MINUTES=100+EAST%%60"
set "NOW=%DAY%T%CLOCK%%SIGN%%HOURS:~1%:%MINUTES:~1%"
exit /b 0

:newid
rem DROP er en tilfeldig id: kontrollsummen av en noekkel som lages her og slettes straks.
set "ONCE=%HERE%\engangs-%RANDOM%%RANDOM%"
ssh-keygen -q -t ed25519 -N "" -C engangs -f "%ONCE%"
if errorlevel 1 exit /b 1
call :hash "%ONCE%.pub"
if errorlevel 1 exit /b 1
del "%ONCE%" "%ONCE%.pub"
set "DROP=%HASH:~0,8%-%HASH:~8,4%-4%HASH:~13,3%-a%HASH:~17,3%-%HASH:~20,12%"
exit /b 0

:file
call :hash "%~1"
if errorlevel 1 set "BAD=yes"
if defined BAD exit /b 1
>> "%INSIDE%\manifest.json" echo %COMMA%{{"name": "%~1", "sha256": "%HASH%", "size": %~z1}}
set "FILES=%FILES% %~1"
set "COMMA=,"
exit /b 0

:hash
rem HASH er SHA-256 av filen: den andre linjen som certutil skriver.
set "HASH="
for /f "skip=1 delims=" %%H in ('certutil -hashfile "%~1" SHA256') do if not defined HASH set "HASH=%%H"
if not defined HASH exit /b 1
set "HASH=%HASH: =%"
if "%HASH:~63,1%"=="" exit /b 1
if not "%HASH:~64,1%"=="" exit /b 1
exit /b 0

:usage
echo Dra mappen med skjemafilene og slipp den paa denne filen.
goto end
:nokey
echo Fant ikke signeringsnoekkelen: %KEY%
echo Se "Foerste gang" i veiledningen.
goto end
:noseven
echo Fant ikke 7-Zip. Be IT-avdelingen om aa installere det.
goto end
:nofiles
echo Mappen har ingen av filene {files}.
goto end
:notime
echo Klokken eller datoen paa maskinen kunne ikke leses. Ingenting er laget.
goto end
:failed
echo FEIL: Innsendingen ble ikke laget. Ikke last opp noe. Les meldingen over, og proev en gang til.
:end
popd 2>nul
pause
exit /b 1
"""

VERIFY = r"""@echo off
rem Kontrollerer at en pakke kommer fra registeret {registry}: dra .zip-filen hit.
setlocal EnableExtensions DisableDelayedExpansion
if "%~1"=="" goto usage
if not exist "%~1.sig" goto nosig
if not exist "%~dp0allowed_signers" goto nosigners
ssh-keygen -Y verify -f "%~dp0allowed_signers" -I enclave@{registry} -n bundle@{registry} -s "%~1.sig" < "%~1"
if errorlevel 1 goto bad
echo.
echo OK: Pakken kommer fra registeret og er ikke endret. Den kan aapnes.
pause
exit /b 0
:usage
echo Dra .zip-filen og slipp den paa denne filen.
goto end
:nosig
echo Fant ikke signaturen. Hent .sig-filen ogsaa, og legg den i samme mappe som .zip-filen.
goto end
:nosigners
echo Fant ikke allowed_signers. Den skal ligge i samme mappe som denne filen.
goto end
:bad
echo.
echo FEIL: Signaturen stemmer ikke. Ikke aapne pakken. Ring registeret.
:end
pause
exit /b 1
"""

CHECK_LETTER = r"""@echo off
rem Kontrollerer et passord fra brevet, gruppe for gruppe. Ingenting lagres.
setlocal EnableExtensions DisableDelayedExpansion
{values}
set "WRONG="
echo Skriv en gruppe om gangen, uten bindestrek, og kontrolltegnet til slutt.
echo Eksempel: gruppen ABCDE med kontrolltegn {example} skrives ABCDE{example}
for /l %%G in (1,1,{count}) do call :group %%G
echo.
if defined WRONG goto bad
echo OK: Alle gruppene stemmer.
pause
exit /b 0
:bad
echo FEIL: Minst en gruppe stemmer ikke. Les den i brevet en gang til.
pause
exit /b 1

:group
set "TYPED="
set /p "TYPED=Gruppe %1: "
if not defined TYPED goto wrong
set "REST=%1"
:sign
if not defined V_%TYPED:~0,1% goto wrong
set /a "REST=REST<<1"
set /a "REST=REST ^ (37 * ((REST >> 5) & 1))"
set /a "REST=REST ^ V_%TYPED:~0,1%"
set "TYPED=%TYPED:~1%"
if defined TYPED goto sign
if not "%REST%"=="0" goto wrong
echo   stemmer
exit /b 0
:wrong
echo   FEIL i gruppe %1
set "WRONG=yes"
exit /b 0
"""


def make_drop(registry: str, sender: str, inbound_key_id: str, forms: Sequence[str]) -> bytes:
    """The script that makes a sealed and signed drop of the forms' files in a folder, CSV or Excel, or one workbook."""
    files = " ".join((*(f"{form}{ending}" for form in forms for ending in (".csv", ".xlsx")), f"{registry}.xlsx"))
    return _script(MAKE_DROP.format(registry=registry, sender=sender, kid=inbound_key_id, files=files))


def verify(registry: str) -> bytes:
    """The script that verifies any package, with the kit's own `allowed_signers` beside it."""
    return _script(VERIFY.format(registry=registry))


def check_passphrase(count: int, example: str) -> bytes:
    """The script that checks the groups of a letter by their check signs; `example` is the one of ABCDE as group 1."""
    values = "\n".join(f'set "V_{sign}={place}"' for place, sign in enumerate(ALPHABET))
    return _script(CHECK_LETTER.format(values=values, count=count, example=example))


def _script(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("ascii")
