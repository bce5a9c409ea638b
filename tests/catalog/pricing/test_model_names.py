"""Which model a name means: by hand for known forms, and as the package itself says for every name it has."""

import time
from functools import cache

import pytest
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot

from catalog.costs import package_prices
from catalog.pricing.model_names import MAX_NAME, Malformed, ModelName, NameBook, matcher


@cache
def book() -> NameBook:
    return NameBook(package_prices.bundled().names)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("GPT-4o ", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("gpt-4o-2024-11-20", "openai/gpt-4o"),
        ("gpt-4o-20241120", "openai/gpt-4o"),
        ("openai/gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"),
        ("azure/openai/gpt-4o", "openai/gpt-4o"),
        ("azure/gpt-4o", "openai/gpt-4o"),
        ("azure_ai/gpt-4o", "openai/gpt-4o"),
        ("litellm_proxy/azure/gpt-4o", "openai/gpt-4o"),
        ("openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"),
        ("anthropic/claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"),
        ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "aws/regional.anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "aws/regional.anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0"),
        (
            "bedrock/us-east-1/anthropic.claude-3-5-sonnet-20240620-v1:0",
            "aws/regional.anthropic.claude-3-5-sonnet-20240620-v1:0",
        ),
        ("bedrock/converse/amazon.nova-pro-v1:0", "aws/amazon.nova-pro-v1:0"),
        ("gemini/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("vertex_ai/publishers/google/models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("vertex_ai/claude-sonnet-4@20250514", "google/claude-4-sonnet"),
        ("deepseek/deepseek-chat", "deepseek/deepseek-chat"),
        ("together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", "together/meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        (
            "huggingface/together/meta-llama/Llama-3.3-70B-Instruct",
            "huggingface_together/meta-llama/Llama-3.3-70B-Instruct",
        ),
        ("llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        # Nobody's, somebody else's, or several's.
        ("ft:gpt-4o:acme::abc", None),
        ("deepinfra/gpt-4o", None),
        ("openai/llama-3.3-70b-versatile", None),
        ("meta-llama/llama-3.3-70b-instruct", None),
        ("openai/", None),
        ("/gpt-4o", None),
        ("gpt-4o-20249920", None),
        ("", None),
        (" ", None),
        ("x" * (MAX_NAME + 1), None),
        ("<script>alert(1)</script>", None),
    ],
)
def test_a_name_means_one_model_or_none(name: str, meant: str | None) -> None:
    found = book().resolve(name)
    assert (str(found) if found else None) == meant
    assert book().resolve(name) is found


def test_every_model_answers_to_its_whole_name() -> None:
    for provider in providers:
        for model in provider.models:
            assert book().resolve(f"{provider.id}/{model.id}") == (provider.id, model.id)


def test_what_the_package_finds_is_found() -> None:
    """By its own look-up for every id of every provider, bare, with a date, and behind the provider's id."""
    snapshot = DataSnapshot(providers, from_auto_update=False)
    home = {id(model): ModelName(provider.id, model.id) for provider in providers for model in provider.models}
    asked = 0
    for provider in providers:
        for model in provider.models:
            for form in (model.id, f"{model.id}-2025-01-01", f"{model.id}-20250101"):
                for name, within in ((form, None), (f"{provider.id}/{form}", provider.id)):
                    try:
                        _, found = snapshot.find_provider_model(form, None, within, None)
                    except LookupError:
                        continue
                    asked += 1
                    exact = ModelName(provider.id, model.id) if (within, form) == (provider.id, model.id) else None
                    assert book().resolve(name) == (exact or home[id(found)]), name
    assert asked > 3_500


def test_own_names() -> None:
    acme, twin = ModelName("acme", "acme-1"), ModelName("twin", "Own-LLM")
    stated = [{"id": "acme", "models": [{"id": "acme-1", "match": {"equals": "acme-1"}}]}]
    names = NameBook(stated, [acme, twin], {"our deployment": acme, "acme-1": twin})
    assert names.resolve("Our deployment") == acme
    assert names.resolve("acme-1") == twin  # an alias goes before all
    assert names.resolve("acme/acme-1") == acme
    assert (names.resolve("own-llm"), names.resolve("TWIN/own-llm")) == (twin, twin)
    two = NameBook([], [twin, ModelName("other", "own-llm")])
    assert two.resolve("own-llm") is None  # of two that have it nobody knows which


def test_a_provider_of_own_models_alone_is_no_prefix_of_others() -> None:
    names = NameBook([], [ModelName("acme", "acme-1")])
    assert names.resolve("acme/acme-2") is None
    assert names.resolve("acme.acme-1") is None


def test_what_a_provider_sells_of_another() -> None:
    stated = [
        {"id": "shop", "fallback": ["maker", "gone"], "models": []},
        {"id": "maker", "models": [{"id": "m", "match": {"starts_with": "m-"}}]},
    ]
    assert NameBook(stated).resolve("shop/m-1") == ("maker", "m")
    assert NameBook(stated).resolve("shop/maker/m-1") == ("maker", "m")
    own = NameBook(stated, [ModelName("shop", "m-1")])
    assert own.resolve("shop/m-1") == ("shop", "m-1")


def test_names_that_are_written_much_alike_are_offered() -> None:
    assert "openai/gpt-4o" in book().closest("gpt-4oo")
    assert book().closest("claude-sonet-4")[0].endswith("/claude-sonnet-4")
    assert book().closest("nothing like it at all") == []
    started = time.monotonic()
    book().closest("a/" * 5_000)
    assert time.monotonic() - started < 2


def test_many_names_are_remembered_and_many_more_are_not_kept() -> None:
    names = NameBook([], [ModelName("acme", "acme-1")])
    for number in range(20_050):
        assert names.resolve(f"unknown-{number}") is None
    assert names.resolve("acme/acme-1") == ("acme", "acme-1")


def test_rules_of_matching() -> None:
    assert matcher({"or": [{"equals": "A"}, {"and": [{"ends_with": "-X"}, {"contains": "Mid"}]}]})("a-mid-x")
    assert matcher({"regex": "^a[0-9]$"})("a1")
    assert not matcher({"starts_with": "b"})("ab")


@pytest.mark.parametrize(
    "clause",
    [None, {}, {"like": "a"}, {"equals": 1}, {"or": "a"}, {"regex": "("}, {"regex": 1}, {"equals": "a", "or": []}],
)
def test_a_rule_that_is_none_is_refused(clause: object) -> None:
    with pytest.raises(Malformed):
        matcher(clause)


def test_a_model_is_written_as_the_catalogue_writes_it() -> None:
    stated = [{"id": "acme", "models": [{"id": "acme-1", "match": {"starts_with": "acme-1"}}]}]
    names = NameBook(stated, [ModelName("acme", "ACME-1")])
    assert {str(names.resolve(name)) for name in ("acme/acme-1", "acme/acme-1-2026", "acme/ACME-1")} == {"acme/ACME-1"}
