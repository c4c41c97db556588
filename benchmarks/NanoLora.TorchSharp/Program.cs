using NanoLora.Benchmarks;

// TorchSharp's half of `quick`, started by NanoLora.Benchmarks; QuickProtocol.cs says what is asked and answered.
if (TorchLibrary.WhyNot() is { } reason)
{
    Console.WriteLine($"unavailable {reason}");
    return QuickProtocol.Unavailable;
}
return QuickProtocol.Serve(new TorchHalf());
