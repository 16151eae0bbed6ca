"""benchmarks.startup: what a run finds compiled is what the run before it left."""

from benchmarks.startup import environment


def test_a_cold_start_finds_nothing_compiled_wherever_the_user_keeps_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/of/the/user")
    monkeypatch.setenv("KEPT", "as it is")
    given = environment(tmp_path)
    assert "JAX_COMPILATION_CACHE_DIR" not in given
    assert given["XDG_CACHE_HOME"] == str(tmp_path)
    assert given["KEPT"] == "as it is"
