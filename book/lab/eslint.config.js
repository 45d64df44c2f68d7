import js from "@eslint/js";

export default [
  {
    ...js.configs.recommended,
    // tsc knows which names there are.
    rules: { ...js.configs.recommended.rules, "no-undef": "off", eqeqeq: "error", "prefer-const": "error" },
  },
];
