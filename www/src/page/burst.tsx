import { useEffect, useReducer, useRef, useState } from "preact/hooks";

import { BURST_PATH, CHAT, MOST } from "../burst-shape.js";
import type { BurstEvent, ProviderNumbers } from "../wire.js";
import { bytes, count, duration, plural } from "./format.js";

type State = "waiting" | "streaming" | "completed" | "refused" | "failed" | "stopped";

interface Run {
  states: State[];
  waits: number[];
  bytes: number;
  why: string | undefined;
  started: number;
  took: number | undefined;
}

const STATES: State[] = ["waiting", "streaming", "completed", "refused", "failed", "stopped"];
const idle: Run = {
  states: [], waits: [], bytes: 0, why: undefined, started: 0, took: undefined,
};

type Action = BurstEvent | { type: "start"; count: number } | { type: "over"; why?: string };

function reduce(run: Run, action: Action): Run {
  if (action.type === "start") {
    const states = Array<State>(action.count).fill("waiting");
    return { ...idle, states, started: Date.now() };
  }
  if (action.type === "over") {
    const open = (state: State) => state === "waiting" || state === "streaming";
    const states = run.states.map((state) => (open(state) ? "stopped" : state));
    return { ...run, states, took: Date.now() - run.started, why: run.why ?? action.why };
  }
  const states = [...run.states];
  if (action.type === "headers") {
    if (action.status < 300) states[action.index] = "streaming";
    const waits = action.wait_ms === null ? run.waits : [...run.waits, action.wait_ms];
    return { ...run, states, waits };
  }
  states[action.index] = action.outcome;
  return { ...run, states, bytes: run.bytes + action.bytes, why: run.why ?? action.why };
}

/** Sends a burst, and tells each line of the answer. */
async function send(
  asked: object, signal: AbortSignal, tell: (event: BurstEvent) => void,
): Promise<void> {
  const response = await fetch(BURST_PATH, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify(asked), signal,
  });
  if (!response.ok || !response.body) throw new Error(await response.text());
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) tell(JSON.parse(line) as BurstEvent);
  }
}

/** The panel that sends many requests at once, and shows how they go. */
export function Burst({ providers }: { providers: Record<string, ProviderNumbers> }) {
  const names = Object.keys(providers).filter((name) => CHAT[kindOf(providers, name)]);
  const [chosen, setChosen] = useState("");
  const [size, setSize] = useState(40);
  const [model, setModel] = useState("");
  const { run, sending, start, stop } = useRun();
  const name = names.includes(chosen) ? chosen : names[0];
  if (name === undefined) {
    return <p class="note">None of the providers has a chat to send a burst to.</p>;
  }
  const simulated = providers[name]?.simulator === true;
  const usual = simulated ? "simulator" : providers[name]?.model ?? "";
  const asked = { provider: name, count: size, model: model || usual };
  const submit = (event: Event) => {
    event.preventDefault();
    start(asked);
  };
  return (
    <>
      <form class="burst" onSubmit={submit}>
        {names.length > 1 && (
          <label>Provider
            <select value={name} onChange={(event) => setChosen(event.currentTarget.value)}>
              {names.map((each) => <option key={each}>{each}</option>)}
            </select>
          </label>
        )}
        <label class="short">Requests
          <input type="number" min={1} max={MOST} required value={size} inputMode="numeric"
            onInput={(event) => setSize(event.currentTarget.valueAsNumber || 0)} />
        </label>
        <label>Model
          <input type="text" required={usual === ""} value={model} spellcheck={false}
            placeholder={usual || "the model's name"} autocomplete="off"
            onInput={(event) => setModel(event.currentTarget.value)} />
        </label>
        <div class="buttons">
          <button class="main" type="submit" disabled={sending}>Send burst</button>
          <button type="button" disabled={!sending} onClick={stop}>Stop</button>
        </div>
      </form>
      <Sent kind={kindOf(providers, name)} simulated={simulated} {...asked} />
      <Progress run={run} sending={sending} />
    </>
  );
}

function kindOf(providers: Record<string, ProviderNumbers>, name: string) {
  return (providers[name] as ProviderNumbers).kind;
}

function useRun() {
  const [run, tell] = useReducer(reduce, idle);
  const [sending, setSending] = useState(false);
  const control = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => control.current?.abort(), []);
  const start = (asked: { count: number }) => {
    const mine = new AbortController();
    control.current = mine;
    setSending(true);
    tell({ type: "start", count: asked.count });
    send(asked, mine.signal, tell).then(
      () => tell({ type: "over" }),
      (error: Error) => tell(mine.signal.aborted
        ? { type: "over" } : { type: "over", why: `The gateway was lost: ${error.message}` }),
    ).finally(() => setSending(false));
  };
  return { run, sending, start, stop: () => control.current?.abort() };
}

interface SentProps {
  kind: ProviderNumbers["kind"];
  provider: string;
  count: number;
  model: string;
  simulated: boolean;
}

function Sent({ kind, provider, count: size, model, simulated }: SentProps) {
  const chat = CHAT[kind];
  return (
    <details class="sent">
      <summary>What is sent</summary>
      <p>{plural(size, "request")} at once, from the gateway to itself:</p>
      <pre tabIndex={0}>{`POST /${provider}${chat?.path}\n`}
        {JSON.stringify(chat?.body(model || "…"), null, 2)}</pre>
      {!simulated && <p><strong>The provider may charge for each request.</strong></p>}
    </details>
  );
}

function Progress({ run, sending }: { run: Run; sending: boolean }) {
  const { states, waits, why } = run;
  if (states.length === 0) {
    return <p class="note">A burst shows the pool at work: some requests hold the places, the rest
      wait their turn.</p>;
  }
  const counts = STATES.map((state) => [state, states.filter((each) => each === state).length])
    .filter(([, number]) => (number as number) > 0) as [State, number][];
  return (
    <div class="progress">
      <div class="cells" aria-hidden="true">
        {states.map((state, index) => <i key={index} class={state} />)}
      </div>
      <ul class="counts">
        {counts.map(([state, number]) => (
          <li key={state}><i class={`cell ${state}`} /><b>{count(number)}</b> {state}</li>
        ))}
      </ul>
      <p class="outcome" aria-live="polite">{sending ? "Under way" : outcome(run)}</p>
      {waits.length > 0 && <p class="note">Longest wait for a place {duration(Math.max(...waits))}
        {" · "}{bytes(run.bytes)} received</p>}
      {why && <p class="why">{why}</p>}
    </div>
  );
}

function outcome({ states, took }: Run): string {
  const completed = states.filter((state) => state === "completed").length;
  const all = completed === states.length ? "All" : `${count(completed)} of`;
  return `${all} ${plural(states.length, "request")} completed in ${duration(took)}`;
}
