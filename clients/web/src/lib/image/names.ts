/** `beach.jpg` → `beach-filled.png`, and that again → the same, however often it is filled. */
export function filledName(photoName: string): string {
	return `${stem(photoName)}-filled.png`;
}

/** `beach.jpg` → `beach-mask.png`. */
export function maskName(photoName: string): string {
	return `${stem(photoName)}-mask.png`;
}

function stem(name: string): string {
	return name.replace(/\.[^.]*$/, '').replace(/-filled$/, '') || 'photo';
}
