"""The built-in rules of all stages with their texts, for the answers to senders."""

from enclave.errors import CODES
from enclave.identity.texts import RULES as IDENTITY_RULES
from enclave.intake.rules import RULES as INTAKE_RULES
from enclave.intake.rules import Rule, RuleText
from enclave.registry.definition import Label
from enclave.store.rules import RULES as STORE_RULES

RULES: dict[str, RuleText] = {**INTAKE_RULES, **IDENTITY_RULES, **STORE_RULES}


def rule_of_code(code: str) -> RuleText:
    """A reason for which a whole drop is rejected, worded like a rule that one of its rows broke."""
    told = CODES[code]
    return Rule(Label(nb=told.text_nb, en=told.text), Label(nb=told.remedy_nb, en=told.remedy))
