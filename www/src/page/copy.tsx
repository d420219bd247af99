import { useState } from "preact/hooks";

/** A text with a button that copies it. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      // Without leave to write, the text can still be marked and copied by hand.
      setSaid("Mark and copy it");
    }
    setTimeout(() => setSaid(""), 2_000);
  };
  return (
    <div class="copy">
      <span class="copy-label">{label}</span>
      <code>{text}</code>
      <button type="button" aria-label={`Copy: ${label}`} onClick={() => void copy()}>
        {said || "Copy"}
      </button>
      <span class="unseen" aria-live="polite">{said}</span>
    </div>
  );
}
