"""`experiments audit`: change the future and see that nothing moves; exit code 1 where something leaks."""

from __future__ import annotations

from experiments.commands.compose import each_task_beside, session_of
from experiments.workflow.audit import DEFAULT_OUTPUT, audit, failing, findings_text
from experiments.workflow.config import Config


def main(config: Config) -> int:
    session = session_of(config)
    findings = audit(session, each_task_beside(session), config.output)
    print(findings_text(findings))
    print(f"{len(findings)} findings in {session.path(config.output or DEFAULT_OUTPUT)}")
    print("next: fix what leaks, and audit again" if failing(findings) else f"next: {session.again('tune')}")
    return int(bool(failing(findings)))
