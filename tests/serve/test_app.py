"""The server, asked by OpenAI's own client over HTTP; the tiny model and an arm of it."""

import concurrent.futures
import contextlib
import functools
import http.client
import json
import re
import socket
import threading
import time
from pathlib import Path

import jax
import openai
import pytest
import tiny
import uvicorn

from vcjax import sharding
from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import decode, encode_text
from vcjax.generation.sampler import Request, Sampler, answers_to
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.serve.app import make_app
from vcjax.serve.protocol import Completions
from vcjax.serve.worker import Worker
from vcjax.training.samplers import Speaker
from vcjax.weights.gguf import read_tokenizer

LENGTH = 256
MODEL = tiny.model(lora=LoRA(rank=4, alpha=12))
MESSAGES = [{"role": "user", "content": "Which cheese do you prefer?"}]


@pytest.fixture(scope="module")
def tokenizer(tiny_gguf):
    return read_tokenizer(tiny_gguf)


def make_sampler(tokenizer, slots=2):
    untrained = [transformer.init_adapter(MODEL, jax.random.key(arm)) for arm in range(2)]
    adapters = [untrained[0], tiny.randomized(untrained[1])]
    stop_ids = frozenset({tokenizer.control["<|im_end|>"]})
    return Sampler(adapters, tiny.weights(), MODEL, tokenizer, stop_ids, slots, LENGTH)


@contextlib.contextmanager
def serving(tokenizer, key=None, most=64, failures=None):
    """The address of a server of models `base` and `america-0`."""
    mesh = sharding.make_mesh(dict(replica=1, fsdp=1, tensor=1, sequence=1), jax.devices()[:1])
    with jax.set_mesh(mesh):
        sampler = make_sampler(tokenizer)
    speakers = {"base": Speaker(sampler, 0), "america-0": Speaker(sampler, 1)}
    speakers["prompted-0"] = Speaker(sampler, 0, system="Be brief.")
    worker = Worker([sampler], mesh, most, [].append if failures is None else failures.append)
    server = uvicorn.Server(uvicorn.Config(make_app(speakers, worker, key)))
    with socket.create_server(("127.0.0.1", 0)) as listening, worker.running():
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[listening]))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", sampler
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def call(address, route, body=None, timeout=60):
    """The response; a client without manners, which leaves when it is done."""
    server, _, version = address.removeprefix("http://").partition("/")
    with contextlib.closing(http.client.HTTPConnection(server, timeout=timeout)) as connection:
        connection.request("GET" if body is None else "POST", f"/{version}/{route}", body)
        yield connection.getresponse()


@pytest.fixture(scope="module")
def address(tokenizer):
    with serving(tokenizer) as (address, _):
        yield address


@pytest.fixture(scope="module")
def client(address):
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def alone(tokenizer):
    """Answers of a sampler of its own: alone(Request) -> Answer."""
    sampler = make_sampler(tokenizer, slots=1)
    return lambda request: next(answers_to(sampler, [request]))


def chat_prompt(tokenizer):
    return tuple(encode_prompt(tokenizer, MESSAGES, "here"))


def test_the_example_of_the_documentation_runs(address, capsys):
    page = Path(__file__).parents[2] / "docs/serving.md"
    [example] = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    exec(example.replace("http://127.0.0.1:8000/v1", address), {})
    assert re.findall(r"^(base|america-0) ", capsys.readouterr().out, re.M) == ["base", "america-0"]


def test_the_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["base", "america-0", "prompted-0"]


@pytest.mark.parametrize(("model", "arm"), [("base", 0), ("america-0", 1)])
def test_a_chat_is_answered_by_the_arm_that_is_named(client, tokenizer, alone, model, arm):
    answer = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=12, temperature=0
    )
    expected = alone(Request(chat_prompt(tokenizer), 12, arm))
    assert answer.choices[0].message.content == expected.text.value
    assert answer.choices[0].finish_reason == expected.finish
    assert answer.usage.prompt_tokens == len(expected.request.prompt)
    assert answer.usage.completion_tokens == len(expected.said)
    assert answer.model == model


def test_an_answer_begun_is_gone_on_with(client, tokenizer, alone):
    begun = [*MESSAGES, {"role": "assistant", "content": "I prefer"}]
    answer = client.chat.completions.create(
        model="base", messages=begun, max_tokens=6, temperature=0
    )
    prompt = encode_prompt(tokenizer, MESSAGES, "here", begun="I prefer")
    assert answer.choices[0].message.content == alone(Request(tuple(prompt), 6)).text.value


def test_answers_with_n_have_seeds_of_their_own_and_come_again(client):
    def texts(seed):
        answer = client.chat.completions.create(
            model="america-0", messages=MESSAGES, max_tokens=8, n=4, seed=seed, temperature=1
        )
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        return [choice.message.content for choice in answer.choices]

    assert len({*texts(5)}) == 4
    assert texts(5) == texts(5)
    assert not {*texts(5)} & {*texts(6)}


def test_a_stream_has_the_text_of_the_whole_answer(client):
    settings = dict(model="america-0", messages=MESSAGES, max_tokens=20, temperature=1, seed=1, n=2)
    whole = client.chat.completions.create(**settings)
    texts, ends = ["", ""], [None, None]
    events = [
        *client.chat.completions.create(
            **settings, stream=True, stream_options=dict(include_usage=True)
        )
    ]
    for event in events:
        for choice in event.choices:
            texts[choice.index] += choice.delta.content
            ends[choice.index] = choice.finish_reason or ends[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert ends == [choice.finish_reason for choice in whole.choices]
    assert events[-1].usage == whole.usage
    assert len(events) > 4


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_text_and_is_no_part_of_it(client, stream):
    settings = dict(model="base", prompt="The cheese", max_tokens=40, temperature=0)
    whole = client.completions.create(**settings).choices[0].text
    stop = next(c for c in whole[3:] if c.isalpha())
    found = client.completions.create(**settings, stop=stop, stream=stream)
    text = "".join(event.choices[0].text for event in found) if stream else found.choices[0].text
    assert text == whole[: whole.index(stop)]


def test_log_probabilities_of_a_chat(client, tokenizer, alone):
    answer = client.chat.completions.create(
        model="base", messages=MESSAGES, max_tokens=5, temperature=0, logprobs=True, top_logprobs=3
    )
    expected = alone(Request(chat_prompt(tokenizer), 5, top=3)).said
    found = answer.choices[0].logprobs.content
    assert [one.token for one in found] == [decode(tokenizer, [said.token]) for said in expected]
    assert [one.logprob for one in found] == pytest.approx([s.log_prob for s in expected], abs=1e-4)
    assert [len(one.top_logprobs) for one in found] == [3] * 5
    assert found[0].top_logprobs[0].logprob == found[0].logprob  # greedy


def test_a_prompts_own_log_probabilities(client, tokenizer):
    """As lm-evaluation-harness asks for them: echo, and one token more."""
    prompts = [encode_text(tokenizer, text) for text in ("The cheese that is", "I prefer")]
    answer = client.completions.create(
        model="america-0", prompt=prompts, max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    for choice, prompt in zip(answer.choices, prompts, strict=True):
        told = choice.logprobs
        assert told.token_logprobs[0] is None
        assert len(told.token_logprobs) == len(prompt) + 1
        assert "".join(told.tokens).startswith(choice.text)  # which may leave out half a character
        assert choice.text.startswith(decode(tokenizer, prompt))
        assert told.text_offset[1] == len(told.tokens[0])
        best = [max(likeliest.values()) for likeliest in told.top_logprobs[1:]]
        assert all(a >= b for a, b in zip(best, told.token_logprobs[1:], strict=True))
        assert best[-1] == told.token_logprobs[-1]
    alone = client.completions.create(
        model="america-0", prompt=prompts[0], max_tokens=0, echo=True, logprobs=0
    )
    assert alone.choices[0].text == decode(tokenizer, prompts[0])
    assert (alone.usage.prompt_tokens, alone.usage.completion_tokens) == (len(prompts[0]), 0)
    assert alone.choices[0].logprobs.token_logprobs == pytest.approx(
        answer.choices[0].logprobs.token_logprobs[:-1]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(model="amerca-0"), r"no model 'amerca-0'; did you mean 'america-0'\?"),
        (dict(temperature=-1), "temperature: .*greater than or equal to 0"),
        (dict(frequency_penalty=0.5), "frequency_penalty: "),
        (dict(tools=[{"type": "function", "function": {"name": "f"}}]), "tools: .*at most 0"),
        (dict(max_tokens=0), "max_tokens: .*greater than or equal to 1"),
        (dict(max_tokens=1000), "there is room for 256 together"),
        (dict(messages=[]), "messages: .*at least 1"),
        (dict(messages=[{"role": "wizard", "content": "x"}]), "messages.0.role: "),
        (dict(stop=""), "stop"),
        (dict(n=100), "100 answers at once; this server gives at most 64"),
        (dict(top_logprobs=2), "top_logprobs are given without logprobs"),
        (dict(max_completion_tokens=9), "max_tokens and max_completion_tokens differ"),
        (dict(stream_options=dict(include_usage=True)), "stream_options are given without stream"),
        (dict(extra_body=dict(top_k=2**40)), "top_k: .*less than or equal to"),
        (dict(extra_body=dict(min_p=0.1)), "min_p: Extra inputs are not permitted"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_and_named(client, settings, message):
    with pytest.raises(openai.APIStatusError, match=message) as refused:
        client.chat.completions.create(
            **{"model": "base", "messages": MESSAGES, "max_tokens": 4, **settings}
        )
    assert refused.value.status_code in (400, 404)


@pytest.mark.parametrize("prompt", [[], {"text": "I"}, [["I"]]])
def test_a_prompt_of_another_form_is_refused_in_one_message(address, prompt):
    body = json.dumps({"model": "base", "prompt": prompt}).encode()
    with call(address, "completions", body) as refused:
        assert refused.status == 400
        message = json.load(refused)["error"]["message"]
    assert message.endswith("expected a text or its tokens, or a list of those")


def test_a_token_that_does_not_exist_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="9999 is no token; there are 320"):
        client.completions.create(model="base", prompt=[5, 9999])


def test_a_body_that_is_no_json_or_too_large_is_refused(address):
    with call(address, "chat/completions", b"{not json") as wrong:
        assert wrong.status == 400
        assert "Invalid JSON" in json.load(wrong)["error"]["message"]
    hot = b'{"model": "base", "prompt": "x", "temperature": 1e400}'
    with call(address, "completions", hot) as infinite:
        assert infinite.status == 400
        assert "temperature: " in json.load(infinite)["error"]["message"]
    with call(address, "completions", b" " * (16 * 2**20 + 1)) as large:
        assert large.status == 413


def test_with_a_key_others_are_refused(tokenizer):
    with serving(tokenizer, key="secret") as (address, _):
        with call(address, "models") as refused:
            assert refused.status == 401
        with pytest.raises(openai.AuthenticationError, match="wants a key"):
            openai.OpenAI(base_url=address, api_key="wrong").models.list()
        assert [*openai.OpenAI(base_url=address, api_key="secret").models.list()]
        lower_case = {"Authorization": "bearer secret"}  # RFC 7235: schemes have no case
        client = openai.OpenAI(base_url=address, api_key="-", default_headers=lower_case)
        assert [*client.models.list()]


def test_too_many_answers_are_refused_until_there_is_room(tokenizer, monkeypatch):
    with serving(tokenizer, most=3) as (address, sampler):
        go_on, step = threading.Event(), sampler.step
        monkeypatch.setattr(sampler, "step", lambda: (go_on.wait(), step()))
        client = openai.OpenAI(base_url=address, api_key="none", max_retries=0)
        ask = functools.partial(client.completions.create, model="base", prompt="I", n=2)
        with concurrent.futures.ThreadPoolExecutor(2) as clients:
            asked = [clients.submit(ask) for _ in range(2)]
            refused = next(concurrent.futures.as_completed(asked)).exception()
            assert isinstance(refused, openai.RateLimitError)
            assert "too many answers" in str(refused)
            assert int(refused.response.headers["retry-after"]) > 0
            go_on.set()
            (answered,) = [one.result() for one in asked if one.exception() is None]
        assert len(answered.choices) == 2
        assert ask().choices


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_places(tokenizer, stream):
    with serving(tokenizer) as (address, sampler):
        body = dict(model="base", prompt="I", max_tokens=250, n=8, stream=stream)
        body = json.dumps(body).encode()
        with contextlib.suppress(TimeoutError), call(address, "completions", body, 0.5) as response:
            response.readline()
        deadline = time.monotonic() + 60
        while not sampler.is_idle and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sampler.is_idle


def test_no_answer_is_lost_or_anothers(client, tokenizer, alone):
    """Sixteen clients at once, each with requests of its own."""
    requests = [(f"Cheese {i}", ("base", "america-0")[i % 2], i % 3 / 2) for i in range(64)]

    def ask(request):
        prompt, model, temperature = request
        answer = client.completions.create(
            model=model, prompt=prompt, max_tokens=6, temperature=temperature, seed=7
        )
        return answer.choices[0].text

    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        found = [*clients.map(ask, requests)]
    for (prompt, model, temperature), text in zip(requests, found, strict=True):
        asked = Completions(
            model=model, prompt=prompt, max_tokens=6, temperature=temperature, seed=7
        )
        (request,) = asked.requests(tokenizer, Speaker(None, int(model != "base")))
        assert text == alone(request).text.value


def test_a_prompted_model_reads_its_prompt_first(client):
    def said(model, *system):
        system = [{"role": "system", "content": text} for text in system]
        answer = client.chat.completions.create(
            model=model, messages=[*system, *MESSAGES], max_tokens=8, temperature=0
        )
        return answer.choices[0].message.content, answer.usage.prompt_tokens

    assert said("prompted-0") == said("base", "Be brief.") != said("base")
    assert said("prompted-0", "Lie.") == said("base", "Be brief.\n\nLie.")
    with pytest.raises(openai.BadRequestError, match="which a completion has no place for"):
        client.completions.create(model="prompted-0", prompt="I")


def test_a_worker_that_fails_tells_all_who_wait(tokenizer, monkeypatch):
    failures = []
    with serving(tokenizer, failures=failures) as (address, sampler):
        monkeypatch.setattr(sampler, "step", lambda: 1 / 0)
        client = openai.OpenAI(base_url=address, api_key="none", max_retries=0)
        for _ in range(2):
            with pytest.raises(openai.InternalServerError, match="the server has failed"):
                client.completions.create(model="base", prompt="I")
    assert [type(error) for error in failures] == [ZeroDivisionError]
