/** An identifier that no other photo or mask in this browser has. (`crypto.randomUUID` needs HTTPS.) */
export function newId(): string {
	return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('');
}
