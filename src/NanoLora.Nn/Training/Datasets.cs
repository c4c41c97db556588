namespace NanoLora.Nn;

/// <summary>Inputs and what they should give.</summary>
/// <param name="Inputs">As the model's Forward takes them: images are [B, C, Y, X], texts are token ids I32 [B, T].</param>
/// <param name="Targets">
/// I32; one class a row of the model's output, nothing is shifted later: [B], or for texts [B, T], <see cref="Ignored"/> where nothing is to be learned. For a
/// model that goes on with a text, the target of a place is the token after it (the labels of transformers, one place to the left); for one that reads a text
/// and writes another, the text to write.
/// </param>
public readonly record struct Batch(Tensor Inputs, Tensor Targets)
{
    /// <summary>The target of a place where nothing is to be learned.</summary>
    public const int Ignored = -100;

    /// <summary>For texts of unequal length: how many tokens each row has; those after them are padding. Null if all are full.</summary>
    public int[]? Lengths { get; init; }

    /// <summary>For texts of two parts: which part, 0 or 1, each token belongs to, I32 [B, T]. Null if all are of the first.</summary>
    public Tensor? Segments { get; init; }
}

/// <summary>Samples that can be read in any order.</summary>
public interface IDataset
{
    /// <summary>What it is called.</summary>
    string Name { get; }

    /// <summary>The number of samples.</summary>
    int Count { get; }

    /// <summary>The names of the classes, in the order of the labels; none where the targets are tokens.</summary>
    IReadOnlyList<string> Classes { get; }

    /// <summary>The class of a sample; -1 where the targets are tokens.</summary>
    int Label(int index);

    /// <summary>How long a sample is: batches of a training are of about the same length. The same for all where it is of no matter, as for images.</summary>
    int Length(int index) => 1;

    /// <summary>Reads samples into tensors of the workspace's current scope.</summary>
    /// <param name="workspace">Where the tensors are born.</param>
    /// <param name="indices">Which samples.</param>
    /// <param name="random">For training: what to draw augmentation from; number i·k.. belongs to sample i of the batch. Null reads them plain.</param>
    Batch Read(Workspace workspace, ReadOnlySpan<int> indices, Philox? random = null);
}
