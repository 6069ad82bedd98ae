// Made by `npm run api` from the server's OpenAPI description. Do not edit.

export interface paths {
    "/predictions/{model}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Fill the holes of an image
         * @description Fill the masked part of an image at its own size; every other pixel is unchanged.
         */
        post: operations["fill"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/masks/marks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Find the marks in an image
         * @description Propose a mask for scratches, dust, pen strokes and lines. Check and edit it before filling.
         */
        post: operations["find_marks"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v2": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Server metadata
         * @description Return the server's name, version and limits.
         */
        get: operations["server_metadata_v2_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v2/health/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Server liveness
         * @description Return 200 while the process runs.
         */
        get: operations["live_v2_health_live_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v2/health/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Server readiness
         * @description Return 200: the server starts to listen only after the model has run once on the configured device.
         */
        get: operations["ready_v2_health_ready_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v2/repository/index": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the models
         * @description Return the name, version and state of every model, the default model first. All of them are ready.
         */
        get: operations["repository_index_v2_repository_index_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v2/models/{model}/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Model readiness
         * @description Return 200: the model is ready whenever the server is.
         */
        get: operations["model_ready_v2_models__model__ready_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v2/models/{model}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Model metadata
         * @description Return the model's version, inputs and outputs.
         */
        get: operations["model_metadata_v2_models__model__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v2/models/{model}/infer": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Run the model on tensors
         * @description Run the model itself: `image` [N,3,H,W] in [0, 1] and `mask` [N,1,H,W], 1 = known, to `output` [N,3,H,W].
         *
         *     Request and response are JSON, or use the binary tensor data extension.
         */
        post: operations["infer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/ping": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Server health
         * @description Return 200: the server starts to listen only after the model is loaded and has run once.
         */
        get: operations["ping_ping_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Metrics for Prometheus
         * @description Return the metrics in Prometheus' text format.
         */
        get: operations["metrics_metrics_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * ErrorBody
         * @description The response body of a failed request, identical on every engine.
         * @example {
         *       "code": 400,
         *       "message": "The image cannot be read (4 bytes): send a complete PNG, JPEG, WebP, BMP or TIFF file.",
         *       "type": "InvalidImageException"
         *     }
         */
        ErrorBody: {
            /**
             * Code
             * @description The HTTP status code.
             */
            code: number;
            /**
             * Type
             * @description The kind of error, one stable word, for programs.
             */
            type: string;
            /**
             * Message
             * @description What is wrong and how to fix it, for people.
             */
            message: string;
        };
        /**
         * FillResponseBody
         * @description The filled image and facts about it.
         * @example {
         *       "height": 32,
         *       "hole_ratio": 0.083008,
         *       "image": "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAACn0lEQVRIDQXB4UYYYBiA0cf57uP9kZlkMskkyWtmZiaTSTJdyy5955yHh39zsfNh5+PO5c7Vzqed653POzc7tztfdu527ncedh53dufrzred7zs/dn7u/Np52vm987zzZ+dl53Xnbefvzvuei1kiIiIiIiIiIiIiIiIiIiI6H2aJiIiIiIiIiIiIiIiIiIjofJwlIiIiIiIiIiIiIiIiIiKiczlLRERERERERERERERERERE52qWiIiIiIiIiIiIiIiIiIiIzqdZIiIiIiIiIiIiIiIiIiIiOtezREREREREREREREREREREdD7PEhERERERERERERERERER0bmZJSIiIiIiIiIiIiIiIiIionM7S0REREREREREREREREREROfLLBEREREREREREREREREREZ27WSIiIiIiIiIiIiIiIiIiIjr3s0RERERERERERERERERERHQeZomIiIiIiIiIiIiIiIiIiOg8zhIREREREREREREREREREdHZWSIiIiIiIiIiIiIiIiIiIjpfZ4mIiIiIiIiIiIiIiIiIiOh8myUiIiIiIiIiIiIiIiIiIqLzfZaIiIiIiIiIiIiIiIiIiIjOj1kiIiIiIiIiIiIiIiIiIiI6P2eJiIiIiIiIiIiIiIiIiIjo/JolIiIiIiIiIiIiIiIiIiKi8zRLRERERERERERERERERERE5/csERERERERERERERERERERnedZIiIiIiIiIiIiIiIiIiIiOn9miYiIiIiIiIiIiIiIiIiI6LzMEhERERERERERERERERER0XmdJSIiIiIiIiIiIiIiIiIiovM2S0REREREREREREREREREROfvLBEREREREREREREREREREZ33WSIiIiIiIiIiIiIiIiIiIvoP3Zo2ocTYUZMAAAAASUVORK5CYII=",
         *       "mime_type": "image/png",
         *       "model": "inpaint",
         *       "model_version": "1.0",
         *       "width": 32
         *     }
         */
        FillResponseBody: {
            /**
             * Image
             * @description The filled image: a file in base64.
             */
            image: string;
            /**
             * Mime Type
             * @description The file's media type.
             * @enum {string}
             */
            mime_type: "image/png" | "image/jpeg" | "image/webp";
            /**
             * Width
             * @description Width of the filled image in pixels.
             */
            width: number;
            /**
             * Height
             * @description Height of the filled image in pixels.
             */
            height: number;
            /**
             * Hole Ratio
             * @description Share of the image's pixels that were filled, 0 to 1.
             */
            hole_ratio: number;
            /**
             * Model
             * @description Name of the model.
             */
            model: string;
            /**
             * Model Version
             * @description Version of the model that filled the holes.
             */
            model_version: string;
        };
        /** HTTPValidationError */
        HTTPValidationError: {
            /** Detail */
            detail?: components["schemas"]["ValidationError"][];
        };
        /**
         * Health
         * @description The server is running and its model is ready.
         */
        Health: {
            /**
             * Status
             * @default Healthy
             * @constant
             */
            status: "Healthy";
        };
        /**
         * IndexedModel
         * @description A model of the server.
         */
        IndexedModel: {
            /** Name */
            name: string;
            /** Version */
            version: string;
            /**
             * State
             * @default READY
             * @constant
             */
            state: "READY";
            /**
             * Reason
             * @default
             */
            reason: string;
        };
        /**
         * InferResponse
         * @description An inference response.
         */
        InferResponse: {
            /** Model Name */
            model_name: string;
            /** Model Version */
            model_version: string;
            /** Id */
            id?: string | null;
            /** Outputs */
            outputs: components["schemas"]["OutputTensor"][];
        };
        /**
         * Limits
         * @description The limits of a request; a larger one is answered 413.
         */
        Limits: {
            /** Max Body Bytes */
            max_body_bytes: number;
            /** Max Pixels */
            max_pixels: number;
        };
        /**
         * Live
         * @description The server is running.
         */
        Live: {
            /** Live */
            live: boolean;
        };
        /**
         * MarksResponseBody
         * @description The proposed mask and facts about it.
         * @example {
         *       "height": 32,
         *       "mask": "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAUklEQVQ4EYXBMQ4DMQzAMAH6ePLyFsh58iJSggQJEiRIkCBBggQJEiRIkPE7y+WRcVguj4zDcnlkHJbLI+OwXB4Zd+MjQYIECRIkSJAgQYIECX/EthZ2AqLH8QAAAABJRU5ErkJggg==",
         *       "share": 0.083008,
         *       "width": 32
         *     }
         */
        MarksResponseBody: {
            /**
             * Mask
             * @description The mask: an 8-bit grey PNG in base64, white = mark, of the image's size with its EXIF orientation applied.
             */
            mask: string;
            /**
             * Width
             * @description Width of the mask in pixels.
             */
            width: number;
            /**
             * Height
             * @description Height of the mask in pixels.
             */
            height: number;
            /**
             * Share
             * @description Share of the image's pixels that belong to marks, 0 to 1.
             */
            share: number;
        };
        /**
         * ModelMetadata
         * @description The model's version, inputs and outputs.
         */
        ModelMetadata: {
            /** Name */
            name: string;
            /** Versions */
            versions: string[];
            /** Platform */
            platform: string;
            /** Inputs */
            inputs: components["schemas"]["TensorMetadata"][];
            /** Outputs */
            outputs: components["schemas"]["TensorMetadata"][];
        };
        /**
         * OutputTensor
         * @description The filled images.
         */
        OutputTensor: {
            /**
             * Name
             * @constant
             */
            name: "output";
            /** Shape */
            shape: number[];
            /**
             * Datatype
             * @constant
             */
            datatype: "FP32";
            /** Data */
            data?: number[] | null;
            /** Parameters */
            parameters?: {
                [key: string]: unknown;
            } | null;
        };
        /**
         * ProtocolError
         * @description An error in the Open Inference Protocol's format.
         */
        ProtocolError: {
            /** Error */
            error: string;
        };
        /**
         * Ready
         * @description The model is ready.
         */
        Ready: {
            /** Ready */
            ready: boolean;
        };
        /**
         * ServerMetadata
         * @description The server's metadata. `limits` is this server's addition to the protocol.
         */
        ServerMetadata: {
            /** Name */
            name: string;
            /** Version */
            version: string;
            /** Extensions */
            extensions: string[];
            limits: components["schemas"]["Limits"];
        };
        /**
         * TensorMetadata
         * @description One of the model's inputs or outputs; -1 is a dynamic dimension.
         */
        TensorMetadata: {
            /** Name */
            name: string;
            /** Datatype */
            datatype: string;
            /** Shape */
            shape: number[];
        };
        /** ValidationError */
        ValidationError: {
            /** Location */
            loc: (string | number)[];
            /** Message */
            msg: string;
            /** Error Type */
            type: string;
            /** Input */
            input?: unknown;
            /** Context */
            ctx?: Record<string, never>;
        };
        /**
         * FormRequest
         * @description The files are sent as they are.
         */
        FormRequest: {
            /**
             * Output Size
             * @description `original`: the image's own size. `model`: the square that the model was trained on.
             * @default original
             * @enum {string}
             */
            output_size: "original" | "model";
            /**
             * Output Format
             * @description `png` (default), `webp` (both lossless), `jpeg`, or `same`: the image's own format if it is one of these three, otherwise PNG. May be omitted if `Accept` names an image type.
             * @default null
             */
            output_format: ("png" | "jpeg" | "webp" | "same") | null;
            /**
             * Metadata
             * @description Which metadata is kept: `all` (default): EXIF, XMP and the colour profile; `no-location`: the same without EXIF's location and without XMP; `none`: only the colour profile.
             * @default all
             * @enum {string}
             */
            metadata: "all" | "no-location" | "none";
            /**
             * Image
             * Format: binary
             * @description The image file: PNG, JPEG, WebP, BMP or TIFF.
             */
            image: string;
            /**
             * Mask
             * Format: binary
             * @description The mask file, of the same size as the image: white (128 and above) = hole to fill. May be omitted if the image has transparency: transparent = hole.
             * @default
             */
            mask: string;
        };
        /**
         * InferRequest
         * @description An inference request.
         */
        InferRequest: {
            /** Inputs */
            inputs: components["schemas"]["InputTensor"][];
            /**
             * Id
             * @default null
             */
            id: string | null;
            /**
             * Parameters
             * @default null
             */
            parameters: {
                [key: string]: unknown;
            } | null;
            /**
             * Outputs
             * @default null
             */
            outputs: {
                [key: string]: unknown;
            }[] | null;
        };
        /**
         * InputTensor
         * @description A tensor: its values in `data`, flat or nested, or as raw bytes after the JSON (binary tensor data extension).
         */
        InputTensor: {
            /**
             * Name
             * @description `image` has 3 channels in [0, 1], `mask` one: 1 = known, 0 = hole.
             * @enum {string}
             */
            name: "image" | "mask";
            /**
             * Shape
             * @description [N, channels, H, W]
             */
            shape: number[];
            /**
             * Datatype
             * @constant
             */
            datatype: "FP32";
            /**
             * Data
             * @description The values in row-major order.
             * @default null
             */
            data: unknown[] | null;
            /**
             * Parameters
             * @description `binary_data_size`: the number of this tensor's bytes after the JSON.
             * @default null
             */
            parameters: {
                [key: string]: unknown;
            } | null;
        };
        /**
         * JsonRequest
         * @description The files are sent in base64, or as data URLs.
         */
        JsonRequest: {
            /**
             * Output Size
             * @description `original`: the image's own size. `model`: the square that the model was trained on.
             * @default original
             * @enum {string}
             */
            output_size: "original" | "model";
            /**
             * Output Format
             * @description `png` (default), `webp` (both lossless), `jpeg`, or `same`: the image's own format if it is one of these three, otherwise PNG. May be omitted if `Accept` names an image type.
             * @default null
             */
            output_format: ("png" | "jpeg" | "webp" | "same") | null;
            /**
             * Metadata
             * @description Which metadata is kept: `all` (default): EXIF, XMP and the colour profile; `no-location`: the same without EXIF's location and without XMP; `none`: only the colour profile.
             * @default all
             * @enum {string}
             */
            metadata: "all" | "no-location" | "none";
            /**
             * Image
             * @description The image file: PNG, JPEG, WebP, BMP or TIFF.
             * @example iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAACn0lEQVRIDQXB4UYYYBiA0cf57uP9kZlkMskkyWtmZiaTSTJdyy5955yHh39zsfNh5+PO5c7Vzqed653POzc7tztfdu527ncedh53dufrzred7zs/dn7u/Np52vm987zzZ+dl53Xnbefvzvuei1kiIiIiIiIiIiIiIiIiIiI6H2aJiIiIiIiIiIiIiIiIiIjofJwlIiIiIiIiIiIiIiIiIiKiczlLRERERERERERERERERERE52qWiIiIiIiIiIiIiIiIiIiIzqdZIiIiIiIiIiIiIiIiIiIiOtezREREREREREREREREREREdD7PEhERERERERERERERERER0bmZJSIiIiIiIiIiIiIiIiIionM7S0REREREREREREREREREROfLLBEREREREREREREREREREZ27WSIiIiIiIiIiIiIiIiIiIjr3s0RERERERERERERERERERHQeZomIiIiIiIiIiIiIiIiIiOg8zhIREREREREREREREREREdHZWSIiIiIiIiIiIiIiIiIiIjpfZ4mIiIiIiIiIiIiIiIiIiOh8myUiIiIiIiIiIiIiIiIiIqLzfZaIiIiIiIiIiIiIiIiIiIjOj1kiIiIiIiIiIiIiIiIiIiI6P2eJiIiIiIiIiIiIiIiIiIjo/JolIiIiIiIiIiIiIiIiIiKi8zRLRERERERERERERERERERE5/csERERERERERERERERERERnedZIiIiIiIiIiIiIiIiIiIiOn9miYiIiIiIiIiIiIiIiIiI6LzMEhERERERERERERERERER0XmdJSIiIiIiIiIiIiIiIiIiovM2S0REREREREREREREREREROfvLBEREREREREREREREREREZ33WSIiIiIiIiIiIiIiIiIiIvoP3Zo2ocTYUZMAAAAASUVORK5CYII=
             */
            image: string;
            /**
             * Mask
             * @description The mask file, of the same size as the image: white (128 and above) = hole to fill. May be omitted if the image has transparency: transparent = hole.
             * @default null
             * @example iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAUklEQVQ4EYXBMQ4DMQzAMAH6ePLyFsh58iJSggQJEiRIkCBBggQJEiRIkPE7y+WRcVguj4zDcnlkHJbLI+OwXB4Zd+MjQYIECRIkSJAgQYIECX/EthZ2AqLH8QAAAABJRU5ErkJggg==
             */
            mask: string | null;
        };
        /**
         * MarksFormRequest
         * @description The file is sent as it is.
         */
        MarksFormRequest: {
            /**
             * Sensitivity
             * @description A number from 0 (only what is certainly a mark) to 1 (whatever may be one).
             * @default 0.5
             */
            sensitivity: number;
            /**
             * Image
             * Format: binary
             * @description The image file: PNG, JPEG, WebP, BMP or TIFF.
             */
            image: string;
        };
        /**
         * MarksJsonRequest
         * @description The file is sent in base64, or as a data URL.
         */
        MarksJsonRequest: {
            /**
             * Sensitivity
             * @description A number from 0 (only what is certainly a mark) to 1 (whatever may be one).
             * @default 0.5
             */
            sensitivity: number;
            /**
             * Image
             * @description The image file: PNG, JPEG, WebP, BMP or TIFF.
             * @example iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAACn0lEQVRIDQXB4UYYYBiA0cf57uP9kZlkMskkyWtmZiaTSTJdyy5955yHh39zsfNh5+PO5c7Vzqed653POzc7tztfdu527ncedh53dufrzred7zs/dn7u/Np52vm987zzZ+dl53Xnbefvzvuei1kiIiIiIiIiIiIiIiIiIiI6H2aJiIiIiIiIiIiIiIiIiIjofJwlIiIiIiIiIiIiIiIiIiKiczlLRERERERERERERERERERE52qWiIiIiIiIiIiIiIiIiIiIzqdZIiIiIiIiIiIiIiIiIiIiOtezREREREREREREREREREREdD7PEhERERERERERERERERER0bmZJSIiIiIiIiIiIiIiIiIionM7S0REREREREREREREREREROfLLBEREREREREREREREREREZ27WSIiIiIiIiIiIiIiIiIiIjr3s0RERERERERERERERERERHQeZomIiIiIiIiIiIiIiIiIiOg8zhIREREREREREREREREREdHZWSIiIiIiIiIiIiIiIiIiIjpfZ4mIiIiIiIiIiIiIiIiIiOh8myUiIiIiIiIiIiIiIiIiIqLzfZaIiIiIiIiIiIiIiIiIiIjOj1kiIiIiIiIiIiIiIiIiIiI6P2eJiIiIiIiIiIiIiIiIiIjo/JolIiIiIiIiIiIiIiIiIiKi8zRLRERERERERERERERERERE5/csERERERERERERERERERERnedZIiIiIiIiIiIiIiIiIiIiOn9miYiIiIiIiIiIiIiIiIiI6LzMEhERERERERERERERERER0XmdJSIiIiIiIiIiIiIiIiIiovM2S0REREREREREREREREREROfvLBEREREREREREREREREREZ33WSIiIiIiIiIiIiIiIiIiIvoP3Zo2ocTYUZMAAAAASUVORK5CYII=
             */
            image: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    fill: {
        parameters: {
            query?: never;
            header?: {
                /** @description Seconds that the prediction may take, including its time in the queue. After that it is cancelled, with a 503. */
                "X-Server-Timeout"?: string | null;
            };
            path: {
                /** @description A model in `/v2/repository/index`; `inpaint` is the default. */
                model: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["FormRequest"];
                "application/json": components["schemas"]["JsonRequest"];
            };
        };
        responses: {
            /** @description The filled image: JSON, or with `Accept: image/png`, `image/jpeg` or `image/webp` the file. */
            200: {
                headers: {
                    /** @description Version of the model. */
                    "X-Model-Version"?: string;
                    /** @description The ONNX Runtime execution provider that runs the model. */
                    "X-Execution-Provider"?: string;
                    /** @description The request's id: the one that was sent, or a new one. */
                    "X-Request-ID"?: string;
                    /** @description Milliseconds by stage: decode, prepare, run, composite, encode. */
                    "Server-Timing"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FillResponseBody"];
                    "image/png": string;
                    "image/jpeg": string;
                    "image/webp": string;
                };
            };
            /** @description A file is missing or cannot be decoded, image and mask differ in size, or a field is unknown. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The API key is missing or wrong. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description Unknown model. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The Accept header excludes JSON and the image's format. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The body was sent too slowly. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description Too many bytes, or too many pixels. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description Neither multipart/form-data nor application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The server failed. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The queue is full, the prediction took too long, or the server is stopping. */
            503: {
                headers: {
                    /** @description Seconds to wait before retrying. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    find_marks: {
        parameters: {
            query?: never;
            header?: {
                /** @description Seconds that the prediction may take, including its time in the queue. After that it is cancelled, with a 503. */
                "X-Server-Timeout"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["MarksFormRequest"];
                "application/json": components["schemas"]["MarksJsonRequest"];
            };
        };
        responses: {
            /** @description The proposed mask: JSON, or with `Accept: image/png` the file. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MarksResponseBody"];
                    "image/png": string;
                };
            };
            /** @description The image is missing or cannot be decoded, or a field is invalid or unknown. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The API key is missing or wrong. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The Accept header excludes JSON and PNG. */
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The body was sent too slowly. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description Too many bytes, or too many pixels. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description Neither multipart/form-data nor application/json. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The server failed. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
            /** @description The queue is full, the prediction took too long, or the server is stopping. */
            503: {
                headers: {
                    /** @description Seconds to wait before retrying. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ErrorBody"];
                };
            };
        };
    };
    server_metadata_v2_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServerMetadata"];
                };
            };
        };
    };
    live_v2_health_live_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Live"];
                };
            };
        };
    };
    ready_v2_health_ready_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ready"];
                };
            };
        };
    };
    repository_index_v2_repository_index_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IndexedModel"][];
                };
            };
            /** @description The API key is missing or wrong. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
        };
    };
    model_ready_v2_models__model__ready_get: {
        parameters: {
            query?: {
                version?: string | null;
            };
            header?: never;
            path: {
                /** @description A model in `/v2/repository/index`; `inpaint` is the default. */
                model: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ready"];
                };
            };
            /** @description The API key is missing or wrong. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description Unknown model or version. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
        };
    };
    model_metadata_v2_models__model__get: {
        parameters: {
            query?: {
                version?: string | null;
            };
            header?: never;
            path: {
                /** @description A model in `/v2/repository/index`; `inpaint` is the default. */
                model: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ModelMetadata"];
                };
            };
            /** @description The API key is missing or wrong. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description Unknown model or version. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
        };
    };
    infer: {
        parameters: {
            query?: {
                version?: string | null;
            };
            header?: {
                /** @description Seconds that the prediction may take, including its time in the queue. After that it is cancelled, with a 503. */
                "X-Server-Timeout"?: string | null;
            };
            path: {
                /** @description A model in `/v2/repository/index`; `inpaint` is the default. */
                model: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["InferRequest"];
                "application/octet-stream": string;
            };
        };
        responses: {
            /** @description JSON, or if binary output is requested, JSON and raw bytes. */
            200: {
                headers: {
                    /** @description Version of the model. */
                    "X-Model-Version"?: string;
                    /** @description The ONNX Runtime execution provider that runs the model. */
                    "X-Execution-Provider"?: string;
                    /** @description The request's id: the one that was sent, or a new one. */
                    "X-Request-ID"?: string;
                    /** @description Milliseconds by stage: decode, prepare, run, composite, encode. */
                    "Server-Timing"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["InferResponse"];
                    "application/octet-stream": string;
                };
            };
            /** @description Tensors that are not images and masks. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description The API key is missing or wrong. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description Unknown model or version. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description The body was sent too slowly. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description Too many bytes, or too many pixels. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description The server failed. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
            /** @description The queue is full, the prediction took too long, or the server is stopping. */
            503: {
                headers: {
                    /** @description Seconds to wait before retrying. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProtocolError"];
                };
            };
        };
    };
    ping_ping_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
        };
    };
    metrics_metrics_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
        };
    };
}
