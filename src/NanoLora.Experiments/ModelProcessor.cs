using NanoLora.Data;
using NanoLora.Models;

namespace NanoLora.Experiments;

/// <summary>How a model wants its images.</summary>
public static class ModelProcessor
{
    /// <summary>Reads the preprocessor's config beside a model's weights; what it does not say, the model's own config does.</summary>
    /// <exception cref="InvalidDataException">A field is not understood; the message names file and field.</exception>
    public static ImageProcessor Processor(this Vit model) => ImageProcessor.For(model);
}
