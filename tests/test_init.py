"""The public names of vit_jax, which are imported when they are used."""

import pytest

import vit_jax


def test_every_public_name_has_one_home_that_has_it():
    assert sorted(name for names in vit_jax.HOMES.values() for name in names) == sorted(vit_jax.__all__)
    for home, names in vit_jax.HOMES.items():
        assert {getattr(vit_jax, name).__module__ for name in names} == {f"vit_jax.{home}"}


def test_another_name_is_an_attribute_error_that_says_which():
    assert not hasattr(vit_jax, "create_modell")
    with pytest.raises(AttributeError, match="module 'vit_jax' has no attribute 'create_modell'"):
        _ = vit_jax.create_modell  # pyright: ignore[reportAttributeAccessIssue]


def test_completion_lists_public_names():
    assert set(vit_jax.__all__) <= set(dir(vit_jax))
