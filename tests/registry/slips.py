"""Slips of the pen in KAR's definition: what was written instead of what, and where and how it must be told."""

from dataclasses import dataclass

REGISTRY, REPORTS = "registry.toml", "reports.toml"
ARRIVAL, FOLLOW_UP = "forms/arrival.toml", "forms/follow_up_12.toml"
DISCHARGE, COURSE = "forms/discharge.toml", "forms/arr_course.toml"


@dataclass(frozen=True)
class Slip:
    """One slip of the pen: in `file`, `new` was written for `old`; `at` is where it is told, as `says`."""

    file: str
    old: str
    new: str
    at: str
    says: str


FOUR = '"arrival", "discharge", "follow_up_6", "follow_up_12"'
AT_WORK = 'holds = "work_participation_percent > 0"'
PARTLY = "holds = \"completion = 'partly'\""
AAP = 'holds = "benefits_aap"'

SHARE_SLIPS = (
    Slip(
        REPORTS,
        AT_WORK,
        'holds = "work_participation > 0"',
        f"{REPORTS}: tables.work_participation.categories.at_work.holds",
        "work_participation",
    ),
    Slip(
        REPORTS,
        AT_WORK,
        'holds = "work_participation_percent + 1"',
        f"{REPORTS}: tables.work_participation.categories.at_work.holds",
        "not a condition",
    ),
    Slip(
        REPORTS,
        AT_WORK,
        'holds = "work_adapted"',
        f"{REPORTS}: tables.work_participation.categories.at_work.holds",
        "at discharge",
    ),
    Slip(
        REPORTS, 'id = "at_work"', 'id = "none"', f"{REPORTS}: tables.work_participation.categories.none.id", "derive"
    ),
    Slip(
        REPORTS,
        'label = { nb = "I arbeid", en = "At work" }',
        'union = true\nlabel = { nb = "I arbeid", en = "At work" }',
        f"{REPORTS}: tables.work_participation.union",
        "one category",
    ),
    Slip(
        REPORTS,
        AAP,
        'holds = "benefits_aap OR benefits_sick_pay"',
        f"{REPORTS}: tables.benefits.categories.aap.holds",
        "reads what an earlier category reads",
    ),
    Slip(REPORTS, "exclusive = true", "", f"{REPORTS}: tables.completion.categories.partly.holds", "earlier category"),
    Slip(
        REPORTS,
        PARTLY,
        "holds = \"completion <> 'completed'\"",
        f"{REPORTS}: tables.completion.categories.partly.holds",
        "not seen to exclude",
    ),
    Slip(
        REPORTS,
        PARTLY,
        "holds = \"completion IN ('partly', 'completed')\"",
        f"{REPORTS}: tables.completion.categories.partly.holds",
        "not seen to exclude",
    ),
    Slip(
        REPORTS, "exclusive = true", "exclusive = true\nunion = true", f"{REPORTS}: tables.completion.union", "exclude"
    ),
    Slip(
        REPORTS,
        'variable = "sick_leave"',
        'variable = "completion"',
        f"{REPORTS}: tables.sick_leave_transitions.variable",
        "no variable of",
    ),
    Slip(
        REPORTS,
        'variable = "sick_leave"',
        'variable = "health"',
        f"{REPORTS}: tables.sick_leave_transitions.variable",
        "not a code",
    ),
    Slip(
        REPORTS,
        '["follow_up_6", "follow_up_12"]',
        '["discharge", "follow_up_12"]',
        f"{REPORTS}: tables.response.forms.1",
        "never falls due",
    ),
    Slip(
        REPORTS,
        '["follow_up_6", "follow_up_12"]',
        '["institution"]',
        f"{REPORTS}: tables.response.forms.1",
        "about a person",
    ),
)

QUALITY = f"{REPORTS}: tables"
QUALITY_SLIPS = (
    Slip(REPORTS, 'form = "institution"', 'form = "arrival"', f"{QUALITY}.coverage.form", "no yearly form"),
    Slip(REPORTS, 'form = "institution"', 'form = "arr_course"', f"{QUALITY}.coverage.form", "several rows in a year"),
    Slip(REPORTS, 'people = "arr_patients"', 'people = "mean_age"', f"{QUALITY}.coverage.people", "no whole number"),
    Slip(REPORTS, 'variable = "education"', 'variable = "sex"', f"{QUALITY}.missing.variables.1.variable", "required"),
    Slip(
        REPORTS, 'variable = "education"', 'variable = "age"', f"{QUALITY}.missing.variables.1.variable", "no variable"
    ),
    Slip(REPORTS, 'variable = "health"', 'variable = "education"', f"{QUALITY}.missing.variables.3", "repeats"),
    Slip(
        REPORTS, 'asked_if = "employed"', 'asked_if = "position"', f"{QUALITY}.missing.variables.8.asked_if", "position"
    ),
    Slip(
        REPORTS,
        'asked_if = "employed"',
        'asked_if = "position_percent"',
        f"{QUALITY}.missing.variables.8.asked_if",
        "not a condition",
    ),
    Slip(REPORTS, 'holds = "sex =', 'asked_if = "sex =', f"{QUALITY}.mix_sex.categories.female.holds", "missing"),
    Slip(
        REPORTS,
        "exclusive = true\ncompared = true",
        "union = true\nexclusive = true\ncompared = true",
        f"{QUALITY}.mix_sex.union",
        "exclude each other",
    ),
    Slip(
        REPORTS,
        'forms = ["arrival"]\nexclusive',
        'forms = ["arrival", "discharge"]\nexclusive',
        f"{QUALITY}.mix_sex.compared",
        "several forms",
    ),
    Slip(REPORTS, 'first = "sick_leave', 'first = "sick_loan', f"{QUALITY}.sick_agreement.first", "sick_loan"),
    Slip(
        REPORTS,
        'second = "benefits_sick_pay"',
        "second = \"sick_leave <> 'none'\"",
        f"{QUALITY}.sick_agreement.second",
        "the same",
    ),
    Slip(REPORTS, 'kind = "refused"', 'kind = "rejected"', f"{QUALITY}.refused", "expected tags"),
    Slip(REPORTS, 'aspect = "validity"', 'aspect = "beauty"', f"{REPORTS}: unmeasured.4.aspect", "should be"),
    Slip(
        REPORTS,
        'kind = "refused"',
        'kind = "consistency"\nforms = ["arrival"]\nitems = ["work_ability", "health"]',
        f"{QUALITY}.refused.items",
        "different ranges",
    ),
    Slip(
        REPORTS,
        'kind = "refused"',
        'kind = "consistency"\nforms = ["arrival"]\nitems = ["work_ability"]',
        f"{QUALITY}.refused.items",
        "fewer than two",
    ),
    Slip(
        REPORTS,
        'kind = "refused"',
        'kind = "consistency"\nforms = ["arrival"]\nitems = ["work_ability", "sex"]',
        f"{QUALITY}.refused.items.2",
        "no number",
    ),
    Slip(
        REPORTS,
        'kind = "refused"',
        'kind = "implausible"\nforms = []',
        f"{QUALITY}.refused.forms",
        "empty",
    ),
)

SLIPS = [
    *QUALITY_SLIPS,
    # shape
    Slip(REGISTRY, 'version = "0.2"', "version = 0.1", f"{REGISTRY}: version", "should be a valid string"),
    Slip(REGISTRY, "retention_days = 30", 'retention_days = "30"', f"{REGISTRY}: retention_days", "valid integer"),
    Slip(REGISTRY, "proposed = true", "", f"{REGISTRY}: proposed", "is missing"),
    Slip(REGISTRY, "proposed = true", "proposed = 1", f"{REGISTRY}: proposed", "valid boolean"),
    Slip(REGISTRY, "retention_days", "retention_weeks", f"{REGISTRY}: retention_weeks", "unknown key"),
    Slip(REGISTRY, 'country = "no"', 'country = "dk"', f"{REGISTRY}: country", "'no' or 'se'"),
    Slip(REGISTRY, 'id = "kar"', 'id = "KAR"', f"{REGISTRY}: id", "match pattern"),
    Slip(REGISTRY, "2017-02-03", "2017-02-03T00:00:00", f"{REGISTRY}: legal_bases.1.valid_from", "time of day"),
    Slip(REGISTRY, "2017-02-03", '"februar"', f"{REGISTRY}: legal_bases.1.valid_from", "date"),
    Slip(REGISTRY, '"consent"', '"permission"', f"{REGISTRY}: legal_bases.1.kind", "'consent'"),
    Slip(ARRIVAL, "minimum = 0", "minimum = nan", f"{ARRIVAL}: variables.7.minimum", "finite"),
    Slip(ARRIVAL, 'kind = "date"', 'kind = "datetime"', f"{ARRIVAL}: variables.consent_date.kind", "'date'"),
    Slip(ARRIVAL, 'nb = "Kjønn"', 'no = "Kjønn"', f"{ARRIVAL}: variables.sex.label.nb", "is missing"),
    Slip(ARRIVAL, '"female", label', '"Female", label', f"{ARRIVAL}: variables.sex.codes.Female.value", "pattern"),
    Slip(REPORTS, '"loan_share"', '"shares"', f"{REPORTS}: tables.benefits_by_month", "tag"),
    Slip(REPORTS, "decimals = 1", "digits = 1", f"{REPORTS}: tables.work_ability.digits", "unknown key"),
    # files
    Slip(REGISTRY, 'id = "kar"', "id = kar", f"{REGISTRY}: ", "is not TOML"),
    Slip(REGISTRY, 'forms = ["arrival", ', "forms = [", f"{ARRIVAL}: ", "is not listed"),
    Slip(REGISTRY, '"arr_course"]', '"arr_course", "six"]', f"{REGISTRY}: forms", "has no file"),
    Slip(REGISTRY, '"arr_course"]', '"../../etc"]', f"{REGISTRY}: forms", "has no file"),
    Slip(REGISTRY, "forms = [", "forms = []\nothers = [", f"{REGISTRY}: forms", "does not list"),
    Slip(REGISTRY, '"arr_course"]', '"arr_course", "arrival"]', f"{ARRIVAL}: ", "repeats"),
    Slip(ARRIVAL, 'id = "arrival"', 'id = "ankomst"', f"{ARRIVAL}: id", "differs from the file's name"),
    Slip(REGISTRY, "[name]", "[[tables]]\n[name]", f"{REGISTRY}: tables", "does not belong here"),
    Slip(REPORTS, "[[tables]]", "[[graphs]]", f"{REPORTS}: graphs", "unknown key"),
    # the registry
    Slip(REGISTRY, 'period_form = "arrival"', 'period_form = "start"', f"{REGISTRY}: period_form", "names no form"),
    Slip(REGISTRY, "retention_days = 30", "retention_days = 0", f"{REGISTRY}: retention_days", "1 to 3650"),
    Slip(REGISTRY, 'version = "0.2"', 'version = " "', f"{REGISTRY}: version", "is empty"),
    Slip(REGISTRY, "minimum_count = 5", "minimum_count = 4", f"{REGISTRY}: disclosure.minimum_count", "floor of 5"),
    Slip(REGISTRY, "inator = 10", "inator = 9", f"{REGISTRY}: disclosure.minimum_denominator", "floor of 10"),
    Slip(REGISTRY, "tions = 3", "tions = 2", f"{REGISTRY}: disclosure.minimum_institutions", "floor of 3"),
    Slip(REGISTRY, "minimum_count = 5", "minimum_count = 11", f"{REGISTRY}: disclosure.minimum_denominator", "below"),
    Slip(REGISTRY, "2017-02-03", "2017-02-03\nvalid_to = 2016-01-01", f"{REGISTRY}: legal_bases.1.valid_to", "before"),
    Slip(
        REGISTRY,
        "[disclosure]",
        '[[legal_bases]]\nkind = "mandatory"\nsource = "x"\n[disclosure]',
        f"{REGISTRY}: legal_bases.2.valid_from",
        "overlaps",
    ),
    Slip(ARRIVAL, 'consent = "consent_date"', "", f"{ARRIVAL}: consent", "legal basis is consent"),
    # labels and dates anywhere
    Slip(ARRIVAL, 'nb = "Yrke"', 'nb = ""', f"{ARRIVAL}: variables.occupation.label.nb", "is missing"),
    Slip(ARRIVAL, 'en = "Sex"', 'en = "Sex\\u001b[2J"', f"{ARRIVAL}: variables.sex.label.en", "printable"),
    Slip(REGISTRY, 'country = "no"', 'country = "se"', f"{REGISTRY}: name.sv", "is missing"),
    Slip(
        ARRIVAL,
        'value = "female",',
        'value = "female", valid_from = 2020-01-01, valid_to = 2019-01-01,',
        f"{ARRIVAL}: variables.sex.codes.female.valid_to",
        "before valid_from",
    ),
    # forms and variables
    Slip(ARRIVAL, 'dated_by = "arrival_date"', 'dated_by = "sex"', f"{ARRIVAL}: dated_by", "no date variable"),
    Slip(ARRIVAL, 'dated_by = "arrival_date"', 'dated_by = "consent_date"', f"{ARRIVAL}: dated_by", "not required"),
    Slip(ARRIVAL, 'consent = "consent_date"', 'consent = "consent"', f"{ARRIVAL}: consent", "no date variable"),
    Slip(ARRIVAL, 'reference = "course_id"', 'reference = "person_id"', f"{ARRIVAL}: reference", "also person_id"),
    Slip(ARRIVAL, "minimum_age = 18", "minimum_age = 180", f"{ARRIVAL}: minimum_age", "0 to 120"),
    Slip(ARRIVAL, 'subject = "person"', 'subject = "institution"', f"{ARRIVAL}: person_id", "about an institution"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "health"', f"{ARRIVAL}: variables.health.name", "a second time"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "benefits_aap"', f"{ARRIVAL}: variables.benefits.name", "a second time"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "state_from"', f"{ARRIVAL}: variables.state_from.name", "reserved"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "row"', f"{ARRIVAL}: variables.row.name", "reserved"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "ctid"', f"{ARRIVAL}: variables.ctid.name", "reserved"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "case"', f"{ARRIVAL}: variables.case.name", "reserved"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "course_id"', f"{ARRIVAL}: variables.course_id.name", "identity column"),
    Slip(ARRIVAL, 'name = "sex"', 'name = "_sex"', f"{ARRIVAL}: variables._sex.name", "pattern"),
    Slip(
        ARRIVAL, 'name = "benefits"', f'name = "{"b" * 47}"', f"{ARRIVAL}: variables.{'b' * 47}.name", "longer than 63"
    ),
    Slip(ARRIVAL, 'value = "male"', 'value = "female"', f"{ARRIVAL}: variables.sex.codes.female", "repeats"),
    Slip(ARRIVAL, "maximum = 10", "maximum = -1", f"{ARRIVAL}: variables.work_ability.maximum", "below minimum"),
    Slip(ARRIVAL, "maximum = 10", "maximum = 9.5", f"{ARRIVAL}: variables.work_ability.maximum", "no number"),
    Slip(ARRIVAL, "maximum = 10", "maximum = 3e9", f"{ARRIVAL}: variables.work_ability.maximum", "no number"),
    Slip(ARRIVAL, "maximum_length = 60", "maximum = 60", f"{ARRIVAL}: variables.occupation.maximum", "of kind text"),
    Slip(ARRIVAL, "maximum = 10", "maximum_length = 2", f"{ARRIVAL}: variables.work_ability.maximum_length", "integer"),
    Slip(
        ARRIVAL, "maximum_length = 60", "maximum_length = 0", f"{ARRIVAL}: variables.occupation.maximum_length", "1 to"
    ),
    Slip(ARRIVAL, 'kind = "code"', 'kind = "text"', f"{ARRIVAL}: variables.sex.codes", "of kind text"),
    Slip(ARRIVAL, 'kind = "boolean"', 'kind = "code"', f"{ARRIVAL}: variables.employed.codes", "is empty"),
    Slip(
        ARRIVAL, 'kind = "multi"', 'kind = "multi"\nrequired = true', f"{ARRIVAL}: variables.benefits.required", "multi"
    ),
    # checks
    Slip(
        ARRIVAL,
        'holds = "consent_date',
        'holds = "consent_day',
        f"{ARRIVAL}: checks.consent_before_arrival.holds",
        "names consent_day",
    ),
    Slip(
        ARRIVAL,
        "employed OR position",
        "health OR position",
        f"{ARRIVAL}: checks.position_needs_employment.holds",
        "truth values",
    ),
    Slip(
        ARRIVAL,
        "consent_date <= arrival_date",
        "days_between(consent_date, arrival_date)",
        f"{ARRIVAL}: checks.consent_before_arrival.holds",
        "not a truth value",
    ),
    Slip(
        ARRIVAL,
        "sick_leave <> 'full'",
        "sick_leave <> 'whole'",
        f"{ARRIVAL}: checks.full_sick_leave_percent.holds",
        "a code that it does not have",
    ),
    Slip(
        ARRIVAL,
        "sick_leave <> 'full'",
        "sick_leave NOT IN ('full', 'x')",
        f"{ARRIVAL}: checks.full_sick_leave_percent.holds",
        "a code that it does not have",
    ),
    Slip(
        ARRIVAL,
        'id = "benefits_none_alone"',
        'id = "consent_before_arrival"',
        f"{ARRIVAL}: checks.consent_before_arrival",
        "repeats",
    ),
    # set checks
    Slip(
        ARRIVAL,
        'id = "courses_apart"',
        'id = "work_and_sick_leave"',
        f"{ARRIVAL}: set_checks.work_and_sick_leave",
        "repeats",
    ),
    Slip(
        ARRIVAL,
        'columns = ["work_ability"]',
        'columns = ["ability"]',
        f"{ARRIVAL}: set_checks.work_ability_missing.columns.1",
        "no column",
    ),
    Slip(
        ARRIVAL,
        'other_form = "discharge"\nother_column = "end_date"',
        "",
        f"{ARRIVAL}: set_checks.courses_apart.columns",
        "2 column",
    ),
    Slip(
        ARRIVAL,
        'other_form = "discharge"\n',
        "",
        f"{ARRIVAL}: set_checks.courses_apart.other_form",
        "no other form",
    ),
    Slip(
        ARRIVAL,
        'kind = "overlap"\ncolumns = ["arrival_date"]',
        'kind = "overlap"\ncolumns = ["sex"]',
        f"{ARRIVAL}: set_checks.courses_apart.columns.1",
        "not a date",
    ),
    Slip(
        ARRIVAL,
        'other_form = "discharge"',
        'other_form = "institution"',
        f"{ARRIVAL}: set_checks.courses_apart.other_form",
        "no other form",
    ),
    Slip(
        ARRIVAL,
        'other_form = "discharge"',
        'other_form = "arrival"',
        f"{ARRIVAL}: set_checks.courses_apart.other_form",
        "no other form",
    ),
    Slip(
        ARRIVAL,
        'other_column = "end_date"',
        'other_column = "work_ability"',
        f"{ARRIVAL}: set_checks.courses_apart.other_column",
        "no date variable",
    ),
    Slip(ARRIVAL, "percent = 30.0", "percent = 0.0", f"{ARRIVAL}: set_checks.work_ability_missing.percent", "above 0"),
    Slip(
        ARRIVAL,
        "percent = 30.0",
        "percent = 30.0\nafter_days = 1",
        f"{ARRIVAL}: set_checks.work_ability_missing.after_days",
        "does not belong to drift",
    ),
    Slip(
        FOLLOW_UP,
        "after_days = 0",
        "after_days = 0\nbefore_days = -1",
        f"{FOLLOW_UP}: set_checks.response_after_arrival.before_days",
        "below after_days",
    ),
    Slip(FOLLOW_UP, "after_days = 0", "", f"{FOLLOW_UP}: set_checks.response_after_arrival.after_days", "is missing"),
    Slip(
        ARRIVAL,
        'kind = "drift"\n',
        'kind = "due"\n',
        f"{ARRIVAL}: set_checks.work_ability_missing.kind",
        "never falls due",
    ),
    Slip(
        DISCHARGE,
        'other_form = "arrival"\n',
        'other_form = "arrival"\nother_column = "arrival_date"\n',
        f"{DISCHARGE}: set_checks.arrival_known.other_column",
        "does not belong to follows",
    ),
    Slip(
        DISCHARGE,
        'columns = ["completion"]',
        'columns = ["completed"]',
        f"{DISCHARGE}: set_checks.completion_steady.columns.1",
        "no column",
    ),
    # when a form falls due, and what tells institutions' forms apart
    Slip(FOLLOW_UP, 'form = "discharge", ', 'form = "avslutning", ', f"{FOLLOW_UP}: due.form", "no other form"),
    Slip(FOLLOW_UP, 'form = "discharge", ', 'form = "institution", ', f"{FOLLOW_UP}: due.form", "about a person"),
    Slip(FOLLOW_UP, 'column = "end_date"', 'column = "completion"', f"{FOLLOW_UP}: due.column", "no date variable"),
    Slip(FOLLOW_UP, "months = 12", "months = 0", f"{FOLLOW_UP}: due.months", "1 to 120"),
    Slip(FOLLOW_UP, "months = 12", 'months = "12"', f"{FOLLOW_UP}: due.months", "valid integer"),
    Slip(FOLLOW_UP, "tolerance_days = 42", "tolerance_days = -1", f"{FOLLOW_UP}: due.tolerance_days", "0 to 365"),
    Slip(FOLLOW_UP, "tolerance_days", "tolerance", f"{FOLLOW_UP}: due.tolerance", "unknown key"),
    Slip(COURSE, 'key = ["report_year", "programme"]', "", f"{COURSE}: key", "is missing"),
    Slip(COURSE, '"programme"]', '"program"]', f"{COURSE}: key.2", "no variable"),
    Slip(COURSE, '"programme"]', '"duration_weeks"]', f"{COURSE}: key.2", "kind decimal"),
    Slip(COURSE, '"programme"]', '"patients"]', f"{COURSE}: key.2", "not required"),
    Slip(COURSE, '"programme"]', '"report_year"]', f"{COURSE}: key.2", "repeats"),
    Slip(COURSE, "maximum_length = 40", "maximum_length = 61", f"{COURSE}: key.2", "too long"),
    Slip(COURSE, "key = [", 'reference = "course_id"\nkey = [', f"{COURSE}: reference", "beside key"),
    Slip(COURSE, "key = [", 'person_id = "person_id"\nkey = [', f"{COURSE}: person_id", "about an institution"),
    Slip(COURSE, 'year = "report_year"', 'year = "programme"', f"{COURSE}: yearly.year", "no integer"),
    Slip(COURSE, "month = 3, day = 1", "month = 2, day = 30", f"{COURSE}: yearly", "no day of every year"),
    Slip(
        COURSE,
        "yearly = {",
        'due = { form = "discharge", column = "end_date", months = 1, tolerance_days = 1 }\nyearly = {',
        f"{COURSE}: due",
        "about an institution",
    ),
    Slip(ARRIVAL, 'reference = "course_id"', 'key = ["sex"]', f"{ARRIVAL}: key", "about a person"),
    Slip(
        ARRIVAL,
        'reference = "course_id"',
        'yearly = { year = "health", month = 1, day = 1 }',
        f"{ARRIVAL}: yearly",
        "about a person",
    ),
    # loans and tables
    Slip(
        REGISTRY,
        'kind = "boolean"',
        'kind = "integer"',
        f"{REGISTRY}: loans.nav.variables.sick_pay.kind",
        "not boolean",
    ),
    Slip(REGISTRY, 'name = "aap"', 'name = "sick_pay"', f"{REGISTRY}: loans.nav.variables.sick_pay", "repeats"),
    Slip(REGISTRY, 'name = "aap"', 'name = "month"', f"{REGISTRY}: loans.nav.variables.month", "repeats"),
    Slip(REGISTRY, 'month = "month"', 'month = "person_id"', f"{REGISTRY}: loans.nav.month", "also person_id"),
    Slip(REPORTS, 'loan = "nav"', 'loan = "ssb"', f"{REPORTS}: tables.benefits_by_month.loan", "no loan"),
    Slip(
        REPORTS, 'start = "end_date"', 'start = "sex"', f"{REPORTS}: tables.benefits_by_month.start", "no date variable"
    ),
    Slip(REPORTS, 'form = "discharge"', 'form = "x"', f"{REPORTS}: tables.benefits_by_month.form", "no form"),
    Slip(REPORTS, "months = 12", "months = 0", f"{REPORTS}: tables.benefits_by_month.months", "1 to 60"),
    Slip(
        REPORTS,
        'variable = "work_ability"',
        'variable = "sick_leave_weeks"',
        f"{REPORTS}: tables.work_ability.variable",
        "no variable of follow_up_12",
    ),
    Slip(
        REPORTS,
        'variable = "work_ability"',
        'variable = "benefits"',
        f"{REPORTS}: tables.work_ability.variable",
        "not a number",
    ),
    Slip(REPORTS, '"follow_up_12"]', '"follow_up_24"]', f"{REPORTS}: tables.work_ability.forms.4", "names no form"),
    Slip(REPORTS, f"[{FOUR}]", '["arrival"]', f"{REPORTS}: tables.work_ability.forms", "fewer than two"),
    *SHARE_SLIPS,
    Slip(REPORTS, 'id = "benefits_by_month"', 'id = "work_ability"', f"{REPORTS}: tables.work_ability", "repeats"),
]
