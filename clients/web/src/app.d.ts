/** The sizes in bytes of what working on the device downloads; scripts/on-device.js makes it. */
declare const ON_DEVICE_SIZES: { readonly model: number; readonly marks: number; readonly runtime: number };
