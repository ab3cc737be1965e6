"""All steps of a run have one clock, which shows when the run was created."""

import datetime as dt

import dagster as dg

from callviz_dagster.assets.common import run_time


@dg.asset
def first(context: dg.AssetExecutionContext) -> dt.datetime:
    """Return the time of the run."""
    return run_time(context)


@dg.asset
def second(context: dg.AssetExecutionContext, first: dt.datetime) -> None:
    """Compare the time of the run with what the step before has seen."""
    assert run_time(context) == first


def test_all_steps_of_a_run_have_the_time_of_its_creation() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([first, second], instance=instance)
        record = instance.get_run_record_by_id(result.run_id)
    assert result.success
    assert record is not None
    assert result.output_for_node("first").timestamp() == record.create_timestamp.timestamp()
