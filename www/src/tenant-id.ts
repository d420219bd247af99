/** What the tenants that are not told of one by one are summed under: no tenant can have this id. */
export const OTHERS = "_others";

/** Whose the requests are that tell no tenant, where they are passed on. */
export const NOBODY = "nobody";

/** What a path begins with that names a tenant. */
export const TENANT_PATH = "t";

/** The ids that tenants can have, but for {@link NOBODY}. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const TAKES = "an id has 1 to 63 ASCII letters, digits, \"_\", \"-\" and \".\", and begins with a "
  + "letter or a digit";

/** Says why no tenant can have this id, without it: it may be long, and come from anyone. */
export function faultOfId(id: string): string | undefined {
  if (ID.test(id) && id !== NOBODY) return undefined;
  return `no tenant can have this id: ${fault(id)}; ${TAKES}`;
}

function fault(id: string): string {
  if (id === "") return "it is empty";
  if (id === NOBODY) return "it is whose requests are that tell no tenant";
  if (id.length > 63) return `it has ${id.length} characters`;
  const at = id.search(/[^A-Za-z0-9_.-]/u);
  return at === -1 ? `it begins with "${id[0]}"` : `it has a character at ${at} that none has`;
}
