"""A real server on free ports, in front of an engine that plays a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import httpx
import openai
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from inferflux.codegen.artifact.compiled import ModelFacts, TextStep, TokenizerFacts
from inferflux.engine.determinism import Determinism
from inferflux.engine.errors import QueueFull
from inferflux.engine.messages import (
    EngineStats,
    FinishReason,
    Hello,
    Request,
    TokenLogprobs,
    TokenOutput,
)
from inferflux.errors import InferFluxError
from inferflux.server.address import Address
from inferflux.server.doors import Doors
from inferflux.server.model import ServedModel
from inferflux.server.service import GenerationService
from inferflux.server.telemetry import Telemetry

CONTEXT = 128
EOS = 2
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
BYTES = tuple(map(chr, (*PRINTABLE, *range(0x100, 0x100 + 256 - len(PRINTABLE)))))
MERGES = ("h e", "l l", "he ll", "hell o", "Ġ w")
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}{{ message.thought }}"
    "{% if message.role == 'refused' %}{{ raise_exception('no \"refused\" here') }}{% endif %}"
    "{% endfor %}{{ tools | tojson if tools }}{{ documents | tojson if documents }}{{ mood }}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

Step = TokenOutput | InferFluxError | asyncio.Event  # an event is waited for


@dataclass
class FakeEngine:
    """An EngineClient whose sequences say what they are told to; one token a step."""

    model: ServedModel
    max_open: int = 64
    is_ready: bool = True
    determinism: Determinism = Determinism.DEFAULT
    script: Callable[[Request], Sequence[Step]] | None = None
    requests: list[Request] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    all_freed: asyncio.Event = field(default_factory=asyncio.Event)
    _says: list[int] = field(default_factory=list)

    @property
    def stats(self) -> EngineStats:
        num_free = 100 - len(self.open)
        return EngineStats(len(self.open), num_waiting=0, free_pages=num_free, total_pages=100)

    @property
    def hello(self) -> Hello:
        return Hello(1, "0" * 64, "cpu:portable", CONTEXT, 16, self.stats, self.determinism)

    def says(self, text: str, *, ends: bool = True) -> None:
        """Every sequence says ``text``; then a stop token, unless it goes on for ever."""
        self._says = self.model.tokenizer.encode(text, special=False) + [EOS] * ends

    def hangs_after(self, text: str) -> None:
        """Every sequence says ``text`` and then nothing, for ever."""
        tokens = self.model.tokenizer.encode(text, special=False)
        self.script = lambda request: [
            *(TokenOutput(request.request_id, [token]) for token in tokens),
            asyncio.Event(),
        ]

    def fails_after(self, text: str, error: InferFluxError) -> None:
        """Every sequence says ``text`` and then ends with ``error``."""
        tokens = self.model.tokenizer.encode(text, special=False)
        self.script = lambda request: [
            *(TokenOutput(request.request_id, [token]) for token in tokens),
            error,
        ]

    def submit(self, request: Request) -> FakeStream:
        if len(self.open) >= self.max_open:
            raise QueueFull(f"{self.max_open} requests are open")
        self.requests.append(request)
        self.open.add(request.request_id)
        self.all_freed.clear()
        steps = self.script(request) if self.script else self._speech(request)
        return FakeStream(self, request.request_id, steps)

    def abort(self, request_id: str) -> None:
        if request_id in self.open:
            self.aborted.append(request_id)
            self.free(request_id)

    def free(self, request_id: str) -> None:
        self.open.discard(request_id)
        if not self.open:
            self.all_freed.set()

    async def drain(self, timeout: float) -> bool:
        return not self.open

    async def close(self) -> None:
        self.is_ready = False

    def _speech(self, request: Request) -> list[Step]:
        steps: list[Step] = []
        if request.prompt_logprobs is not None:
            scores = [self._score(token, request.prompt_logprobs) for token in request.prompt[1:]]
            steps.append(TokenOutput(request.request_id, [], prompt_logprobs=scores))
        for token in self._says[: request.max_tokens]:
            num_logprobs = request.sampling.logprobs
            scores = None if num_logprobs is None else [self._score(token, num_logprobs)]
            steps.append(TokenOutput(request.request_id, [token], logprobs=scores))
        is_stop = len(self._says) <= request.max_tokens and EOS in self._says
        reason = FinishReason.STOP if is_stop else FinishReason.LENGTH
        return [*steps, TokenOutput(request.request_id, [], finish_reason=reason)]

    def _score(self, token: int, num_top: int) -> TokenLogprobs:
        top = [(token + other) % 256 + 3 for other in range(num_top)]
        return TokenLogprobs(token, -token / 8, top, [-other / 4 for other in range(num_top)])


@dataclass
class FakeStream:
    engine: FakeEngine
    request_id: str
    steps: Sequence[Step]
    _position: int = 0

    def __aiter__(self) -> FakeStream:
        return self

    async def __anext__(self) -> TokenOutput:
        if self._position == len(self.steps):
            raise StopAsyncIteration
        step = self.steps[self._position]
        self._position += 1
        await asyncio.sleep(0)
        if isinstance(step, asyncio.Event):
            await step.wait()
            return await self.__anext__()
        if isinstance(step, InferFluxError):
            self.engine.free(self.request_id)
            raise step
        if step.finish_reason is not None:
            self.engine.free(self.request_id)
        return step

    async def aclose(self) -> None:
        self.engine.abort(self.request_id)


@dataclass
class Served:
    """A running server and how to reach it."""

    service: GenerationService
    engine: FakeEngine
    telemetry: Telemetry
    http: Address
    grpc: Address

    @property
    def url(self) -> str:
        return f"http://{self.http}"


@pytest.fixture(scope="session")
def tokenizer_facts() -> TokenizerFacts:
    merged = tuple(merge.replace(" ", "") for merge in MERGES)
    tokens = (*SPECIAL, *BYTES, *merged)
    return TokenizerFacts(
        kind="bpe",
        pre="smollm",
        tokens=tokens,
        token_types=(3,) * len(SPECIAL) + (1,) * (len(tokens) - len(SPECIAL)),
        merges=MERGES,
        bos_token_id=1,
        eos_token_ids=(EOS,),
        pad_token_id=EOS,
        unknown_token_id=0,
        add_bos=False,
        add_space_prefix=False,
        chat_template=CHATML,
        cuts=(TextStep("digits", flags=("individual",)), TextStep("byte_level", flags=("regex",))),
    )


@pytest.fixture(scope="session")
def model(tokenizer_facts: TokenizerFacts) -> Iterator[ServedModel]:
    facts = ModelFacts(
        name="tiny",
        architecture="llama",
        vocab_size=len(tokenizer_facts.tokens),
        context_length=CONTEXT,
        num_layers=2,
        hidden_size=64,
        source_digest="0" * 64,
        source_types={"f32": 1},
    )
    served = ServedModel.of(facts, tokenizer_facts, digest="1" * 64, name="served")
    yield served
    served.close()


@pytest.fixture
def engine(model: ServedModel) -> FakeEngine:
    fake = FakeEngine(model)
    fake.says("hello world")
    return fake


@pytest.fixture
async def server(engine: FakeEngine) -> AsyncIterator[Served]:
    service = GenerationService(engine.model, engine)
    telemetry = Telemetry()
    doors = Doors(service, telemetry)
    http, grpc_address = await doors.open(Address("127.0.0.1", 0), Address("127.0.0.1", 0))
    yield Served(service, engine, telemetry, http, grpc_address)
    await doors.close()
    service.close()


@pytest.fixture
async def client(server: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client, as a user would make it."""
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="none", max_retries=0
    ) as official:
        yield official


@pytest.fixture
async def http(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as plain:
        yield plain


@pytest.fixture
async def channel(server: Served) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(str(server.grpc)) as opened:
        yield opened


class ReflectedClient:
    """A gRPC client that knows of the service only what the server's reflection tells."""

    SERVICE = "inferflux.v1.Inference"

    def __init__(self, channel: grpc.aio.Channel, pool: DescriptorPool) -> None:
        self._channel = channel
        self._methods = pool.FindServiceByName(self.SERVICE).methods_by_name

    def message(self, method: str, **fields: Any) -> Any:
        """A request of ``method``, from plain values."""
        return ParseDict(fields, GetMessageClass(self._methods[method].input_type)())

    def call(self, method: str, *, timeout: float | None = None, **fields: Any) -> Any:
        return self.send(method, self.message(method, **fields), timeout=timeout)

    def send(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        described = self._methods[method]
        kind = "unary_stream" if described.server_streaming else "unary_unary"
        rpc = getattr(self._channel, kind)(
            f"/{self.SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        return rpc(request, timeout=timeout)


async def reflect(channel: grpc.aio.Channel, **question: str) -> Any:
    """The server's answer to one question of reflection."""
    stream = ServerReflectionStub(channel).ServerReflectionInfo()
    await stream.write(ServerReflectionRequest(**question))
    await stream.done_writing()
    return await stream.read()


@pytest.fixture
async def inference(channel: grpc.aio.Channel) -> ReflectedClient:
    answer = await reflect(channel, file_containing_symbol=ReflectedClient.SERVICE)
    pool = DescriptorPool()
    for serialized in answer.file_descriptor_response.file_descriptor_proto:
        pool.AddSerializedFile(serialized)
    return ReflectedClient(channel, pool)


@pytest.fixture
async def grpc_methods(channel: grpc.aio.Channel) -> set[str]:
    """The paths of all methods that reflection lists."""
    services = (await reflect(channel, list_services="*")).list_services_response.service
    methods = set()
    for service in services:
        answer = await reflect(channel, file_containing_symbol=service.name)
        for serialized in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(serialized)
            for described in file.service:
                path = f"/{file.package}.{described.name}"
                methods |= {f"{path}/{method.name}" for method in described.method}
    return methods
