import { isBuiltin } from "node:module";

/** For esbuild: what packages `require` of Node's own, an ES module can only import. */
export const nodeBuiltins = {
  name: "node-builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[a-z/_]+$/ }, ({ path }) =>
      isBuiltin(path) ? { path, namespace: "builtin" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `export * from "node:${path}"; export { default } from "node:${path}";`,
    }));
  },
};
