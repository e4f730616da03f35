"""Options that a plugin declares as a model: checked at load, handed over as an object."""

from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from core.errors import PluginFailedError
from lib.options import GuestOptions, PluginOptions
from lib.web.http_retry import HttpRetryOptions, PatientOptions
from links import sampler
from pipeline.config.parser import PluginSpec
from pipeline.plugins.contract import LINK, plugin_in
from pipeline.plugins.loader import Loaded
from pipeline.plugins.options import laid_over, option, unknown_options
from tests.unit.plugins.test_modules_contract import module_with, refusal, run


class Options(PluginOptions):
    """As a plugin would declare them."""

    seconds: float = Field(5, ge=0)
    urls: list[str] = Field([], alias="webhook-urls")
    password: SecretStr = SecretStr("")
    headers: dict[str, str] = Field({})


def configured(**options: Any) -> PluginSpec:
    """A plugin with these options in the configuration."""
    return PluginSpec("mine", "links.mine", options=options)


def wrong(**options: Any) -> str:
    """Why these are refused."""
    with pytest.raises(PluginFailedError) as error:
        laid_over(Options, configured(**options))
    return str(error.value)


def test_a_model_is_found_in_the_module_or_in_the_class() -> None:
    """Where `default_options` would be, which it goes before."""
    assert plugin_in(module_with(run=run, Options=Options), LINK).default_options is Options
    both = module_with(run=run, Options=Options, default_options={"x": 1})
    assert plugin_in(both, LINK).default_options is Options


def test_something_else_of_that_name_is_refused() -> None:
    """A dict called Options would otherwise be taken for no options at all."""
    assert refusal(LINK, run=run, Options={"x": 1}) == "Options is not a Pydantic model"


def test_options_are_laid_over_the_defaults_as_one_object() -> None:
    """Texts from the environment become what the model says."""
    options = laid_over(Options, configured(seconds="0.5", **{"webhook-urls": ["http://a"]}))
    assert options == Options(seconds=0.5, urls=["http://a"])


def test_every_wrong_option_is_reported_by_its_path_and_without_its_value() -> None:
    """The message ends in the operator's log."""
    told = wrong(seconds=-1, password=["hidden-word"], **{"webhook-urls": ["http://a", []]})
    assert "options.seconds: Input should be greater than or equal to 0" in told
    assert "options.password: Input should be a valid string" in told
    assert "options.webhook-urls.1: Input should be a valid string" in told
    assert "hidden-word" not in told


def test_contradicting_options_are_reported() -> None:
    """No single one of them is wrong."""
    spec = PluginSpec("mine", "links.sampler", options={"method": "modulo", "value": 0})
    with pytest.raises(
        PluginFailedError, match=r"^options: Value error, value: modulo needs a whole"
    ):
        laid_over(sampler.Options, spec)


def test_an_option_that_is_null_is_unset() -> None:
    """YAML gives null for a key with nothing behind it."""
    assert laid_over(Options, configured(headers=None)) == Options()


def test_an_unknown_option_is_remarked_but_no_mistake() -> None:
    """A configuration of vcon-server may have more; `after_link` is for the host."""
    spec = configured(elsewhere=3, after_link={}, urls=[])
    assert unknown_options(Options, spec, strict=False) == [
        "options.elsewhere: not a known option, ignored"
    ]
    with pytest.raises(
        PluginFailedError, match=r"^options.elsewhere: not a known option \(CONFIG_STRICT"
    ):
        unknown_options(Options, spec, strict=True)


def test_an_option_that_is_nearly_a_known_one_is_a_mistake() -> None:
    """The known one was meant, and would keep its default."""
    with pytest.raises(PluginFailedError) as error:
        unknown_options(Options, configured(secnods=3, webhook_url="hidden-word"), strict=False)
    assert str(error.value) == (
        "options.secnods: not a known option; did you mean 'seconds'?; "
        "options.webhook_url: not a known option; did you mean 'webhook-urls'?"
    )


def test_options_of_a_dict_are_not_judged() -> None:
    """A module may read more than its defaults name."""
    assert unknown_options({"seconds": 1}, configured(secnods=3), strict=True) == []


def test_a_plugin_cannot_change_the_options_of_the_next_call() -> None:
    """Each call has a copy, of a dict or of an object that is not frozen."""

    class Mutable(BaseModel):
        count: int = 0

    for options in (Mutable(), {"count": 0}):
        mine = Loaded(name="x", options=options, is_async=False).fresh_options()
        if isinstance(mine, BaseModel):
            mine.count = 1
        else:
            mine["count"] = 1
        assert option(options, "count") == 0


def test_a_plugin_that_is_called_by_another_takes_a_mapping_too() -> None:
    """`of` makes the object, or takes it as it is."""
    options = Options.of({"seconds": 1})
    assert options.seconds == 1
    assert Options.of(options) is options
    assert Options.of(None) == Options()


def test_the_former_names_are_aliases() -> None:
    """Existing plugins import `GuestOptions` and `PatientOptions`."""
    assert GuestOptions is PluginOptions
    assert PatientOptions is HttpRetryOptions
