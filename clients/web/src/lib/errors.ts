/** An error that the user can fix. The message is shown as it is, and says how. */
export class UserError extends Error {}
