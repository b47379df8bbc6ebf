"""What the data processor does with definitions; apart, since reading one takes the parser of its expressions."""

from pathlib import Path

from enclave.audit.record import Purpose
from enclave.control.runs import current_definition
from enclave.errors import Refused
from enclave.registry.load import LoadedDefinition, keep, load, load_kept
from enclave.terminal.desk import Desk


class DefinitionDesk(Desk):
    """The terminal, with the registry's definition at hand."""

    def definition_in_force(self) -> LoadedDefinition:
        """The definition that rows are judged by now; Refused R_NOT_APPLIED where there is none."""
        return load_kept(self.lies.definitions, self._definition())

    def _definition(self) -> str:
        sha256 = current_definition(self.control, self._registry)
        if sha256 is None:
            raise Refused("R_NOT_APPLIED", place=self._registry)
        return sha256

    def apply_definition(self, source: Path) -> str:
        """File a request to put a definition in force."""
        loaded = load(source)
        keep(self.lies.definitions, loaded)
        return self.file("apply_definition", {"sha256": loaded.sha256}, case_number="", purpose=Purpose.OPERATION)
