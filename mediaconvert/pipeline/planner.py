"""A step and a probed input become the exact commands that will run.

Pure: planning twice gives the same plan, and `explain` costs nothing. The runner executes what
stands here and adds nothing to it but the tools' fixed, safe options.
"""

from __future__ import annotations

from mediaconvert.media import MediaInfo, StepPlan
from mediaconvert.pipeline.schema import Step


def plan_step(step: Step, info: MediaInfo, *, threads: int = 0) -> StepPlan:
    """What `step` will do to an input that was found to be `info`. `threads`: how many an
    encoder may use, 0 = as many as there are cores.

    Raises MediaInputError with a stable code where the input lacks what the step asks for."""
    plan = step.params.plan(info, step.output, threads=threads)
    return StepPlan(
        step_id=step.id,
        operation=step.operation,
        commands=plan.commands,
        files=plan.files,
        reasons=plan.reasons,
    )
