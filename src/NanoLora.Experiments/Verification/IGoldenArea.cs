namespace NanoLora.Experiments.Verification;

/// <summary>One kind of golden vectors (operations, models, training, composition): how such a folder is recognised, and run through the engine.</summary>
public interface IGoldenArea
{
    /// <summary>What the kind is called, as in "ops".</summary>
    string Name { get; }

    /// <summary>Whether the folder's golden.json is of this kind; looks at its content, not at where it lies.</summary>
    bool Recognises(GoldenFolder folder);

    /// <summary>
    /// Runs the folder's cases and reports each tensor in order of computation. A <see cref="GoldenException"/> or <see cref="NotBuiltException"/>
    /// that leaves it ends the folder, and counts as one failure or as one thing not built.
    /// </summary>
    void Run(GoldenFolder folder, Backend backend, VerifyOptions options, GoldenReport report);
}

/// <summary>A case needs something that the engine does not have yet.</summary>
public sealed class NotBuiltException(string what) : Exception(what);
