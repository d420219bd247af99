// Asks once, and says what the answer is.
export async function start() {
  const run = async ({ url, say }) => {
    const response = await fetch(`${url}/`);
    say(`${response.status} ${await response.text()}`);
  };
  return { env: {}, run, stop: () => undefined };
}
