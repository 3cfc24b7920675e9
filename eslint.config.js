// Rules for the dashboard's JavaScript: the recommended ones, a few more that catch defects, and the page's own two laws.
// Text reaches the page through core/dom.js only, and each folder imports only from the folders below it.

import js from "@eslint/js";
import globals from "globals";

const STATIC = "innovator_rl/dashboard/static/js";
const MARKUP = ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "createContextualFragment"];

/** What each folder may not import. The order is app, views, components, then text and api, then core. */
const ABOVE = {
  core: ["api", "text", "components", "views", "app"],
  api: ["text", "components", "views", "app"],
  text: ["api", "components", "views", "app"],
  components: ["api", "text", "views", "app"],
  views: ["app"],
};

const layers = Object.entries(ABOVE).map(([folder, above]) => ({
  files: [`${STATIC}/${folder}/**/*.js`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: above.map((name) => ({
          group: [`**/../${name}/**`],
          message: `${folder}/ must not import from ${name}/, which lies above it.`,
        })),
      },
    ],
  },
}));

export default [
  { ignores: [".venv/", "innovator_rl/dashboard/static/vendor/", "build/", "runs/", "models/", "data/"] },
  js.configs.recommended,
  {
    files: [`${STATIC}/**/*.js`],
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: globals.browser },
    rules: {
      "no-restricted-properties": [
        "error",
        ...MARKUP.map((property) => ({ property, message: "Build nodes with h() and s() of core/dom.js." })),
      ],
    },
  },
  { files: [`${STATIC}/app/theme.js`], languageOptions: { sourceType: "script" } },
  { files: ["tests/js/**/*.js", "tools/*.js", "eslint.config.js"], languageOptions: { globals: globals.node } },
  {
    rules: {
      "array-callback-return": "error",
      "default-case-last": "error",
      eqeqeq: "error",
      "no-constructor-return": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-promise-executor-return": "error",
      "no-self-compare": "error",
      "no-shadow": "error",
      "no-template-curly-in-string": "error",
      "no-unmodified-loop-condition": "error",
      "no-unreachable-loop": "error",
      "no-unused-expressions": ["error", { allowShortCircuit: true, allowTernary: true }],
      "no-use-before-define": ["error", { functions: false, variables: false }],
      "no-useless-assignment": "error",
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      "require-atomic-updates": "error",
    },
  },
  ...layers,
];
