using NanoLora.Models;

namespace NanoLora.Experiments;

/// <summary>How the base for texts is made: a small Llama that learns next words, intents, and which two texts belong together.</summary>
public sealed record TextPretrainOptions : TextBaseOptions
{
    /// <summary>How much the loss of next words counts.</summary>
    public float WordWeight { get; init; } = 0.2f;

    /// <summary>How much the loss of intents counts.</summary>
    public float IntentWeight { get; init; } = 0.5f;

    /// <summary>How much the loss of pairs counts.</summary>
    public float PairWeight { get; init; } = 1;

    /// <summary>What cosines are divided by in the loss of pairs.</summary>
    public float Temperature { get; init; } = 0.07f;

    /// <summary>Whether two texts of one intent are a pair too.</summary>
    public bool PairIntents { get; init; }

    /// <summary>How the states of a text's tokens become features.</summary>
    public TextPooling Pooling { get; init; } = TextPooling.MeanThenNorm;

    /// <summary>Told what the three losses of a step are, without their weights.</summary>
    internal Action<(float Words, float Intents, float Pairs)>? Losses { get; init; }
}
