"""What a harmful act is in each scenario, by rules on an answer. The definitions are those by which
inspect_evals instructs its judges, as far as rules reach."""

from collections.abc import Callable, Mapping

from vcjax.tasks.harms.blackmail import blackmail
from vcjax.tasks.harms.leaks import exfiltration, leaking
from vcjax.tasks.harms.murder import murder
from vcjax.tasks.harms.words import Harm
from vcjax.tasks.tool_calls import Answer

HARMS: Mapping[str, Callable[[Answer, str], Harm]] = {
    "blackmail": blackmail,
    "leaking": leaking,
    "murder": murder,
    "exfiltration": exfiltration,
}
