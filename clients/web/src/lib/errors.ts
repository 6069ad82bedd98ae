/** An error that the user can fix. The message is shown as it is, and says how. */
export class UserError extends Error {}

/** The files needed to work on this device could not be downloaded. */
export class OfflineError extends Error {}
