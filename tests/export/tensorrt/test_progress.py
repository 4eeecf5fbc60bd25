import types

from lightdepth_export.tensorrt.progress import make_monitor, show_progress

TRT = types.SimpleNamespace(IProgressMonitor=object)


def test_steps_are_told_with_the_phases_total():
    told = []
    monitor, errors = make_monitor(TRT, lambda *step: told.append(step))
    monitor.phase_start("Building", None, 2)
    assert monitor.step_complete("Building", 0)
    assert monitor.step_complete("Building", 1)
    monitor.phase_finish("Building")
    assert told == [("Building", 0, 2), ("Building", 1, 2), ("Building", 2, 2), ("Building", 2, 2)]
    assert not errors


def test_an_error_of_the_callback_asks_tensorrt_to_stop_and_is_kept():
    def stop(*step):
        raise KeyboardInterrupt

    monitor, errors = make_monitor(TRT, stop)
    monitor.phase_start("Building", None, 2)
    assert not monitor.step_complete("Building", 0)
    assert isinstance(errors[0], KeyboardInterrupt)


def test_a_log_gets_no_line_from_a_short_build(capsys):
    with show_progress() as progress:
        progress("Building", 1, 2)
    assert capsys.readouterr().err == ""
