import { useEffect, useReducer, useRef, useState } from "preact/hooks";

import { BURST_PATH, CHAT, MOST } from "../burst-shape.js";
import { TENANT_PATH, faultOfId } from "../tenant-id.js";
import type { BurstEvent, ProviderNumbers, TenantsStats } from "../wire.js";
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

/** Whose a burst is: the tenant's id, or its key. */
interface Sender {
  tenants: TenantsStats | undefined;
  who: string;
}

/** What a path begins with, where that names the tenant. */
function prefixOf({ tenants, who }: Sender): string {
  return tenants?.by === "path" && who !== "" ? `/${TENANT_PATH}/${encodeURIComponent(who)}` : "";
}

function headersOf({ tenants, who }: Sender): Record<string, string> {
  if (tenants === undefined || who === "") return {};
  if (tenants.by === "key") return { authorization: `Bearer ${who}` };
  return tenants.header === undefined ? {} : { [tenants.header]: who };
}

/** Says what can be neither a tenant nor its key, which may be what no request can be sent with. */
function faultOf({ tenants, who }: Sender): string | undefined {
  if (tenants === undefined || who === "") return undefined;
  if (tenants.by !== "key") return faultOfId(who);
  return /^[\x21-\x7e]+$/.test(who) ? undefined : "a key has ASCII characters alone, and no blank";
}

/** Sends a burst, and tells each line of the answer. */
async function send(
  asked: object, sender: Sender, signal: AbortSignal, tell: (action: Action) => void,
): Promise<void> {
  const fault = faultOf(sender);
  if (fault !== undefined) return tell({ type: "over", why: `It was not sent: ${fault}.` });
  const response = await fetch(prefixOf(sender) + BURST_PATH, {
    method: "POST", headers: { "content-type": "application/json", ...headersOf(sender) },
    body: JSON.stringify(asked), signal,
  });
  if (!response.ok || !response.body) {
    const { error } = (await response.json()) as { error: { message: string } };
    return tell({ type: "over", why: `It was not sent: ${error.message}.` });
  }
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
export function Burst({ providers, tenants }: {
  providers: Record<string, ProviderNumbers>; tenants: TenantsStats | undefined;
}) {
  const names = Object.keys(providers).filter((name) => CHAT[kindOf(providers, name)]);
  const [chosen, setChosen] = useState("");
  const [size, setSize] = useState(40);
  const [model, setModel] = useState("");
  const [who, setWho] = useState("");
  const { run, sending, start, stop } = useRun();
  const name = names.includes(chosen) ? chosen : names[0];
  if (name === undefined) {
    return <p class="note">None of the providers has a chat to send a burst to.</p>;
  }
  const simulated = providers[name]?.simulator === true;
  const usual = simulated ? "simulator" : providers[name]?.model ?? "";
  const asked = { provider: name, count: size, model: model || usual };
  const sender = { tenants, who };
  const submit = (event: Event) => {
    event.preventDefault();
    start(asked, sender);
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
        {tenants && <Who by={tenants.by} who={who} tell={setWho} />}
        <div class="buttons">
          <button class="main" type="submit" disabled={sending}>Send burst</button>
          <button type="button" disabled={!sending} onClick={stop}>Stop</button>
        </div>
      </form>
      <Sent kind={kindOf(providers, name)} simulated={simulated} prefix={prefixOf(sender)}
        {...asked} />
      <Progress run={run} sending={sending} />
    </>
  );
}

/** Asks for the tenant whose burst it is. */
function Who({ by, who, tell }: {
  by: TenantsStats["by"]; who: string; tell: (who: string) => void;
}) {
  const shared = {
    value: who, autocomplete: "off", spellcheck: false,
    onInput: (event: { currentTarget: HTMLInputElement }) => tell(event.currentTarget.value.trim()),
  };
  return (
    <label class="wide">{by === "key" ? "Key of the tenant" : "Tenant"}
      {by === "key" ? <input type="password" {...shared} /> : <input type="text" {...shared} />}
    </label>
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
  const start = (asked: { count: number }, sender: Sender) => {
    const mine = new AbortController();
    control.current = mine;
    setSending(true);
    tell({ type: "start", count: asked.count });
    send(asked, sender, mine.signal, tell).then(
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
  prefix: string;
}

function Sent({ kind, prefix, provider, count: size, model, simulated }: SentProps) {
  const chat = CHAT[kind];
  return (
    <details class="sent">
      <summary>What is sent</summary>
      <p>{plural(size, "request")} at once, from the gateway to itself:</p>
      <pre tabIndex={0}>{`POST ${prefix}/${provider}${chat?.path}\n`}
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
