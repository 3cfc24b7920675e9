// The payloads of the server's routes, as types for the checker. The names are those of docs/dashboard-api.md; the type
// of a field tells whether the server may leave it out or send null. The file holds no code.

/** @typedef {"train" | "validation"} Kind */

/**
 * What names one group: all responses to one prompt in one step.
 * @typedef {{ kind?: Kind | string | null, step: number, uid: string }} GroupKey
 */

/**
 * What names one response.
 * @typedef {GroupKey & { sample_index: number }} ResponseKey
 */

/**
 * One run in the list of runs. Figures are null until they are known.
 * @typedef {object} RunRow
 * @property {string} name
 * @property {"starting" | "running" | "finished" | "failed" | "stopped" | "dead" | "unknown"} status
 * @property {string} detail why the run has this status
 * @property {number | null} step
 * @property {number | null} total_steps
 * @property {string | null} phase
 * @property {number | null} phase_seconds
 * @property {string | null} created
 * @property {string | null} heartbeat
 * @property {number | null} heartbeat_age in seconds
 * @property {boolean} silent whether the heartbeat is older than the threshold
 * @property {string | null} host
 * @property {number | null} pid
 * @property {{ revision?: string | null, dirty?: boolean } | null} git
 * @property {string | null} model
 * @property {{ url: string | null, job_id: string | null, submission_id: string | null } | null} ray
 * @property {number | null} reward of all scored responses
 * @property {number | null} reward_trained of the responses that the update was computed from
 * @property {number | null} accuracy
 * @property {Record<string, { reward: number | null, responses?: number }> | null} domains
 * @property {(number | null)[]} reward_history
 * @property {(number | null)[]} reward_trained_history
 * @property {string | null} problem why a part of the run cannot be read
 * @property {string[]} [tags]
 * @property {boolean} [archived]
 * @property {number | null} tokens_per_second
 * @property {number | null} step_seconds
 * @property {number | null} seconds_left
 * @property {number | null} rows_recorded
 * @property {number} rows_dropped
 * @property {{ error?: number, warning?: number, info?: number } | null} alerts how many there are of each severity
 * @property {number | null} problems
 */

/** @typedef {{ runs_dir: string, demo: boolean, rows: RunRow[], total: number, archived: number }} RunList */

/** @typedef {{ file: string, why: string, rows_lost: number | null }} FileProblem */

/** @typedef {{ steps: number[], rows: number, groups: number }} RecordSize */

/**
 * @typedef {object} Attempt
 * @property {number} attempt
 * @property {string} started
 * @property {string | null} ended
 * @property {number} resumed_from_step
 * @property {number | null} step
 * @property {string} status
 * @property {string} [cause]
 */

/**
 * @typedef {object} IndexState
 * @property {"building" | "ready"} state
 * @property {number | null} rows
 * @property {{ done: number, total: number }} [words] how many responses the full-text index covers
 */

/**
 * One run in full.
 * @typedef {object} RunInfo
 * @property {RunRow} run
 * @property {Attempt[]} attempts
 * @property {string} config_text
 * @property {string[] | null} command
 * @property {Record<string, string> | null} packages
 * @property {Record<Kind, RecordSize> | null} record
 * @property {Record<string, string[]>} values the values of each column that can be filtered
 * @property {IndexState} index
 * @property {FileProblem[]} problems
 */

/** @typedef {{ key: string, values: unknown[] }} Difference */

/** @typedef {{ config: Difference[], packages: Difference[] }} Comparison */

/**
 * One series of the curves; `value` is that of the filter (null: all responses, "-": the empty value).
 * @typedef {{ name: string, value: string | null, points: Record<string, (number | null)[]> }} CurveSeries
 */

/**
 * @typedef {object} Curves
 * @property {number[]} steps
 * @property {number[]} incomplete steps whose update is not recorded yet
 * @property {CurveSeries[]} series
 * @property {Record<string, (number | null)[]>} terms mean contribution of each term of the reward
 * @property {Record<string, (number | null)[]>} metrics
 * @property {{ step: number, metrics: string[] }[]} not_finite
 * @property {{ attempt: number, steps: number[], responses: number }[]} superseded
 */

/**
 * What the update made of a group, or of a response as a member of its group.
 * @typedef {object} GroupOutcome
 * @property {string | null} status kept, dropped, failed, pending or validation
 * @property {boolean} [superseded] whether a resumed attempt abandoned the step
 * @property {string | null} [prompt_preview]
 * @property {string | null} drop_reason
 */

/**
 * One response in a list.
 * @typedef {object} ResponseFields
 * @property {Kind} kind
 * @property {number | null} attempt
 * @property {string | null} prompt_id
 * @property {string | null} domain
 * @property {string | null} data_source
 * @property {string | null} rewarder
 * @property {string | null} generation_status ok or failed
 * @property {string | null} finish_reason
 * @property {boolean | null} truncated
 * @property {number | null} prompt_tokens
 * @property {number | null} response_tokens
 * @property {number | null} reward
 * @property {number | null} overlong_penalty
 * @property {boolean | null} correct
 * @property {string | null} outcome
 * @property {string | null} reason
 * @property {string | null} extracted
 * @property {number | null} generate_seconds
 * @property {number | null} queued_seconds
 * @property {number | null} reward_seconds
 * @property {number | null} weight_version_min
 * @property {number | null} weight_version_max
 * @property {string | null} written_at
 * @property {boolean | null} kept
 * @property {number | null} advantage
 * @property {number | null} entropy
 * @property {number | null} clip_low
 * @property {number | null} clip_high
 * @property {number | null} gap
 * @property {number | null} repetition
 * @property {string[]} labels
 * @property {string | null} preview
 */

/** @typedef {ResponseKey & ResponseFields & GroupOutcome} ResponseRow */

/**
 * One group in a list.
 * @typedef {object} GroupFields
 * @property {Kind} kind
 * @property {string | null} prompt_id
 * @property {string | null} domain
 * @property {number} samples
 * @property {number} correct
 * @property {number} failed
 * @property {number} truncated
 * @property {number | null} reward_mean
 * @property {number | null} [reward_min]
 * @property {number | null} [reward_max]
 * @property {number | null} reward_std
 * @property {number | null} tokens_mean
 */

/** @typedef {GroupKey & GroupFields & GroupOutcome} GroupRow */

/** @typedef {{ low: number, high: number, count: number, correct: number }} Bin */

/** @typedef {{ column: string, bins: Bin[] }} Histogram */

/**
 * One page of a list.
 * @template Row
 * @typedef {object} Page
 * @property {Row[]} rows
 * @property {number} total
 * @property {number} page
 * @property {number} size
 * @property {number} pages
 * @property {Histogram | null} [histogram]
 * @property {{ complete: boolean, scanned: number, of: number, capped: boolean } | null} [search]
 * @property {boolean} indexing
 * @property {number} [milliseconds]
 */

/** @typedef {{ name: string, value: number | null, weight: number | null }} Term */

/** @typedef {{ role?: unknown, content?: unknown }} Message */

/**
 * The prompt of a group and what the reward function was given besides the response.
 * @typedef {object} Prompt
 * @property {string | null} prompt
 * @property {Message[] | string | null} messages
 * @property {string | null} answer
 * @property {unknown} info
 */

/**
 * @typedef {object} GroupResponseText
 * @property {Term[]} terms
 * @property {string | null} error
 * @property {string | null} response cut to the number of characters that was asked for
 * @property {number} response_chars
 */

/** @typedef {ResponseRow & GroupResponseText} GroupResponse */

/**
 * @typedef {object} GroupFrame
 * @property {GroupRow} group
 * @property {GroupResponse[]} responses best reward first
 * @property {GroupKey | null} previous
 * @property {GroupKey | null} next
 * @property {(GroupKey & { correct: number, samples: number })[]} other_steps
 */

/** @typedef {Prompt & GroupFrame} Group */

/**
 * @typedef {object} Score
 * @property {number | null} value
 * @property {number | null} overlong_penalty
 * @property {number | null} reward
 * @property {boolean | null} correct
 * @property {string | null} outcome
 * @property {string | null} reason
 * @property {string | null} reason_meaning
 * @property {string | null} rewarder
 * @property {unknown} extracted
 * @property {unknown} gold
 * @property {number | null} seconds
 * @property {Term[]} terms
 */

/** @typedef {{ role: string, predicted: string | null, gold: string | null, svg: string, figures: string }} MoleculePair */

/**
 * One test of a program.
 * @typedef {object} CodeTest
 * @property {number} index
 * @property {string} result
 * @property {unknown} input
 * @property {unknown} expected
 * @property {unknown} output
 * @property {number | null} seconds
 */

/** @typedef {{ program: string, language: string | null, passed: number, total: number, tests: CodeTest[] }} CodeReport */

/** @typedef {ResponseKey & { label: string, note: string | null, author?: string, time: string }} LabelRow */

/** @typedef {{ rows: LabelRow[], names: string[] }} LabelList */

/** @typedef {{ sample_index: number, reward: number | null, correct: boolean | null }} Sibling */

/**
 * One turn of a response; `trained` is false for masked text, `cut` the number of characters left out.
 * @typedef {{ role: string, name: string | null, content: string, trained: boolean, tokens: number | null,
 *   seconds: number | null, cut: number }} Turn
 */

/**
 * @typedef {object} ResponseFrame
 * @property {ResponseRow} row
 * @property {string | null} error
 * @property {string | null} response the part of the text that was asked for
 * @property {number} offset
 * @property {number} response_chars
 * @property {number[]} parts where each part of the text begins
 * @property {Turn[]} turns empty where the response is one turn
 * @property {Score} score
 * @property {MoleculePair | null} molecules
 * @property {CodeReport | null} code
 * @property {boolean} tokens whether anything was recorded token by token
 * @property {LabelRow[]} labels
 * @property {Sibling[]} siblings
 * @property {ResponseKey | null} previous
 * @property {ResponseKey | null} next
 * @property {string | null} text_error
 */

/** @typedef {Prompt & ResponseFrame} ResponseInfo */

/** @typedef {"logprob" | "old_logprob" | "ratio" | "clip_side" | "entropy" | "gap"} TokenSeries */

/**
 * A window of one response's tokens.
 * @typedef {object} Tokens
 * @property {number} offset
 * @property {number} total
 * @property {"tokenizer" | "bytes" | "ids"} text_source
 * @property {(number | null)[]} ids
 * @property {string[]} text
 * @property {Partial<Record<TokenSeries, (number | null)[]>>} series
 * @property {number | null} advantage
 * @property {{ low: number | null, high: number | null }} clip
 * @property {Record<string, [number, number] | null>} ranges
 */

/**
 * @typedef {object} Molecule
 * @property {string} input
 * @property {string | null} smiles
 * @property {boolean} valid
 * @property {string | null} error
 * @property {string | null} formula
 * @property {number | null} weight in g/mol
 */

/**
 * @typedef {object} MoleculeFigures
 * @property {Molecule | null} predicted
 * @property {Molecule | null} gold
 * @property {boolean} same
 * @property {Record<string, number | null> | null} similarity
 */

/** @typedef {{ step: number, uid: string, correct: number, samples: number }} ChangeSide */

/** @typedef {{ prompt_id: string, domain: string | null, from: ChangeSide, to: ChangeSide, preview: string | null }} ChangedPrompt */

/** @typedef {"newly_solved" | "newly_lost" | "still_solved" | "still_unsolved"} ChangeCount */

/**
 * Prompts whose outcome differs between two ranges of steps, or between two runs.
 * @typedef {object} Change
 * @property {{ run: string, prompts: number }} from
 * @property {{ run: string, prompts: number }} to
 * @property {number} common
 * @property {Record<ChangeCount, number>} counts
 * @property {{ domain: string, newly_solved: number, newly_lost: number, common: number }[]} domains
 * @property {ChangedPrompt[]} newly_solved
 * @property {ChangedPrompt[]} newly_lost
 */

/**
 * One check of a run's health.
 * @typedef {object} Check
 * @property {string} id
 * @property {string} title
 * @property {string} [rule]
 * @property {number | null} [threshold]
 * @property {number | null} [value]
 * @property {string} [unit]
 * @property {string} [why] why the check has no value
 */

/**
 * @typedef {object} AlertFields
 * @property {"error" | "warning" | "info"} severity
 * @property {number[] | null} steps the first and the last step that the check looked at
 * @property {string | null} domain
 * @property {string | null} advice
 * @property {boolean} silenced
 * @property {{ view: "run" | "rollouts" | "groups", query: string } | null} link
 * @property {number | null} rows
 */

/** @typedef {Check & AlertFields} Alert */

/** @typedef {{ checked_at: string, stalled: boolean, alerts: Alert[], passed: Check[], unknown: Check[] }} Health */

/** @typedef {{ value: number | null, correct: boolean | null, reason: string | null, extracted: unknown }} ShortScore */

/** @typedef {ResponseKey & { rewarder: string, old: ShortScore, new: ShortScore, changed: boolean }} RescoredRow */

/**
 * @typedef {object} RescoreSummary
 * @property {number} rows
 * @property {number} changed
 * @property {number} newly_correct
 * @property {number} newly_wrong
 * @property {number | null} mean_old
 * @property {number | null} mean_new
 * @property {number} errors
 */

/** @typedef {{ rows: RescoredRow[], summary: RescoreSummary }} Rescored */

/** @typedef {{ tables: { name: string, columns: { name: string, type: string }[] }[], examples: string[] }} SqlSchema */

/** @typedef {{ columns: string[], types: string[], rows: unknown[][], truncated: boolean, milliseconds: number }} SqlResult */

export {};

/** @typedef {{ from: number | null, to: number | null }} FromTo */

/** @typedef {{ step: string, responses: number, reward: number, accuracy: number, length: number, truncated: number }} Means */

/**
 * @typedef {object} TermChange
 * @property {string} name
 * @property {number | null} from
 * @property {number | null} to
 * @property {number} change
 * @property {Record<string, string | number> | null} query
 * @property {ResponseRow[]} examples
 */

/**
 * @typedef {object} SplitRow
 * @property {string} value
 * @property {FromTo} share
 * @property {FromTo} reward
 * @property {number} within
 * @property {number} mix
 * @property {Record<string, string | number>} query
 * @property {ResponseRow[]} examples
 */

/** @typedef {{ by: string, within: number, mix: number, rows: SplitRow[] }} Split */

/** @typedef {{ change: number, examples: ChangedPrompt[] }} PromptPart */

/**
 * Why the mean reward changed.
 * @typedef {object} RewardChange
 * @property {Means} from
 * @property {Means} to
 * @property {number} change
 * @property {{ low: number, high: number, prompts: number } | null} interval of 95 %
 * @property {TermChange[]} terms
 * @property {Split[]} splits
 * @property {{ common: number, counts: Record<ChangeCount, number> } & Record<ChangeCount, PromptPart>} prompts
 */

/**
 * @typedef {object} PromptSample
 * @property {number} sample_index
 * @property {number | null} reward
 * @property {boolean | null} correct
 * @property {string | null} reason
 * @property {number | null} response_tokens
 * @property {boolean | null} truncated
 * @property {string | null} extracted
 */

/** @typedef {GroupRow & { attempt: number, responses: PromptSample[] }} PromptGroup */

/**
 * One prompt over steps and runs.
 * @typedef {object} PromptHistory
 * @property {string} prompt_id
 * @property {string | null} prompt
 * @property {string | null} answer
 * @property {string | null} domain
 * @property {{ run: string, groups: PromptGroup[] }[]} runs
 */
