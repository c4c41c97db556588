namespace NanoLora.Cli;

internal enum LoraKind { Lora, Dora, Pissa }
