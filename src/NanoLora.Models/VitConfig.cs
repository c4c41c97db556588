namespace NanoLora.Models;

/// <summary>What a classifier sees of the tokens that leave the last block.</summary>
public enum Pooling
{
    /// <summary>The class token.</summary>
    Cls,
    /// <summary>The mean of all tokens.</summary>
    Mean,
    /// <summary>The mean of the patches, without class token and registers.</summary>
    MeanOfPatches,
    /// <summary>The class token and the mean of the patches, side by side.</summary>
    ClsAndMeanOfPatches,
    /// <summary>The class token and the distillation token, side by side; each has its own head.</summary>
    ClsAndDistillation,
    /// <summary>What a learned query finds among the tokens, and an MLP on it.</summary>
    Attention,
}

/// <summary>The families of image transformers whose files are read.</summary>
public enum VitFamily
{
    /// <summary>This library's own: config.json says "nano_vit", tensors are called as in Hugging Face's ViT.</summary>
    NanoVit,
    /// <summary>Hugging Face ViT.</summary>
    Vit,
    /// <summary>Hugging Face DeiT.</summary>
    Deit,
    /// <summary>Hugging Face DINOv2.</summary>
    Dinov2,
    /// <summary>The image tower of Hugging Face CLIP.</summary>
    Clip,
    /// <summary>The image tower of Hugging Face SigLIP.</summary>
    Siglip,
    /// <summary>timm's VisionTransformer.</summary>
    Timm,
    /// <summary>The names of the vit-pytorch package.</summary>
    VitPytorch,
}

/// <summary>What a vision transformer is made of. The defaults are this library's own kind; files of other families set what theirs have.</summary>
public sealed record VitConfig
{
    /// <summary>Whose names and formats its files have.</summary>
    public VitFamily Family { get; init; } = VitFamily.NanoVit;

    /// <summary>Rows of the images that the position table is for.</summary>
    public int ImageRows { get; init; } = 224;

    /// <summary>Columns of the images that the position table is for.</summary>
    public int ImageColumns { get; init; } = 224;

    /// <summary>Rows and columns alike.</summary>
    public int ImageSize { init => (ImageRows, ImageColumns) = (value, value); }

    /// <summary>Rows and columns of a patch.</summary>
    public int PatchSize { get; init; } = 16;

    /// <summary>Channels of the images.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>The width of a token, D.</summary>
    public int HiddenSize { get; init; } = 192;

    /// <summary>The number of blocks.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>The number of attention heads.</summary>
    public int Heads { get; init; } = 3;

    /// <summary>The width of a head; 0 for D over the number of heads.</summary>
    public int HeadSize { get; init; }

    /// <summary>The width between the linears of an MLP.</summary>
    public int IntermediateSize { get; init; } = 768;

    /// <summary>The function between the linears of an MLP, by its name in configs.</summary>
    public string Activation { get; init; } = "gelu";

    /// <summary>Added to the variance in the norms.</summary>
    public float Eps { get; init; } = 1e-6f;

    /// <summary>What the head sees.</summary>
    public Pooling Pooling { get; init; } = Pooling.Mean;

    /// <summary>The names of the classes; none for a model without a classifier.</summary>
    public IReadOnlyList<string> Labels { get; init; } = [];

    /// <summary>What is subtracted from each channel of an image in [0, 1], or null where the file does not say.</summary>
    public IReadOnlyList<float>? ImageMean { get; init; }

    /// <summary>What each channel is then divided by, or null.</summary>
    public IReadOnlyList<float>? ImageStd { get; init; }

    /// <summary>Whether there is a class token.</summary>
    public bool ClassToken { get; init; } = true;

    /// <summary>Whether there is a distillation token.</summary>
    public bool DistillationToken { get; init; }

    /// <summary>The number of register tokens.</summary>
    public int Registers { get; init; }

    /// <summary>How many of the tokens before the patches have an entry in the position table; -1 for all.</summary>
    public int PositionedTokens { get; init; } = -1;

    /// <summary>Whether the file has a token for masked patches, which classification does not use.</summary>
    public bool MaskToken { get; init; }

    /// <summary>Whether the patches' linear has a bias.</summary>
    public bool PatchBias { get; init; } = true;

    /// <summary>Whether queries, keys and values come from one linear.</summary>
    public bool FusedQkv { get; init; }

    /// <summary>Whether the linears of queries, keys and values have a bias.</summary>
    public bool QkvBias { get; init; } = true;

    /// <summary>Whether each head of queries and keys is normed.</summary>
    public bool QkNorm { get; init; }

    /// <summary>Whether each branch of a block is scaled.</summary>
    public bool LayerScale { get; init; }

    /// <summary>Whether the MLPs are gated (SwiGLU).</summary>
    public bool Gated { get; init; }

    /// <summary>Whether a norm stands before the blocks.</summary>
    public bool PreNorm { get; init; }

    /// <summary>Whether the norm stands after pooling and not after the last block.</summary>
    public bool NormAfterPooling { get; init; }

    /// <summary>The width of a linear without bias from the pooled features to an embedding shared with texts; 0 for none.</summary>
    public int ProjectionSize { get; init; }

    /// <summary>Whether positions are resampled for smaller images with a widened kernel, as timm does and DINOv2 with registers.</summary>
    public bool Antialias { get; init; }

    /// <summary>The tokens before the patches.</summary>
    internal int PrefixTokens => (ClassToken ? 1 : 0) + (DistillationToken ? 1 : 0) + Registers;

    /// <summary>The position table's entries before those of patches.</summary>
    internal int PositionedPrefix => PositionedTokens < 0 ? PrefixTokens : PositionedTokens;

    /// <summary>The rows and columns of patches that the position table is for.</summary>
    internal (int Rows, int Columns) Grid => (ImageRows / PatchSize, ImageColumns / PatchSize);

    /// <summary>The width of what the head sees.</summary>
    public int FeatureSize => Pooling is Pooling.ClsAndMeanOfPatches or Pooling.ClsAndDistillation ? 2 * HiddenSize : HiddenSize;

    /// <summary>Refuses sizes that do not go together.</summary>
    /// <param name="source">The file, for the message.</param>
    /// <exception cref="ArgumentException">A size is not positive or does not divide another.</exception>
    internal VitConfig Checked(string source)
    {
        foreach (var (name, value) in (ReadOnlySpan<(string, int)>)[
            (nameof(ImageRows), ImageRows), (nameof(ImageColumns), ImageColumns), (nameof(PatchSize), PatchSize), (nameof(Channels), Channels),
            (nameof(HiddenSize), HiddenSize), (nameof(Layers), Layers), (nameof(Heads), Heads), (nameof(IntermediateSize), IntermediateSize)])
        {
            if (value < 1) throw new ArgumentException($"{source}: VitConfig.{name} is {value}; it must be 1 at least.");
        }
        foreach (var (name, axis) in (ReadOnlySpan<(string, long)>)[
            (nameof(PatchSize), (long)PatchSize * PatchSize * Channels), (nameof(ImageRows), (long)ImageRows * ImageColumns),
            (nameof(HiddenSize), 3L * HiddenSize), (nameof(Heads), 3L * Heads * Math.Max(HeadSize, 1)), (nameof(IntermediateSize), 2L * IntermediateSize)])
        {
            if (axis > int.MaxValue) throw new ArgumentException($"{source}: VitConfig.{name} makes a tensor of an axis beyond 2^31 - 1.");
        }
        if (PatchSize > Math.Min(ImageRows, ImageColumns))
            throw new ArgumentException($"{source}: patches of {PatchSize} do not fit images of {ImageRows} x {ImageColumns}.");
        if (HeadSize == 0 && HiddenSize % Heads != 0) throw new ArgumentException($"{source}: a width of {HiddenSize} does not divide into {Heads} heads.");
        if (Pooling is Pooling.Cls or Pooling.ClsAndMeanOfPatches && !ClassToken)
            throw new ArgumentException($"{source}: pooling takes the class token, which the model does not have.");
        if (Pooling == Pooling.ClsAndDistillation && !(ClassToken && DistillationToken))
            throw new ArgumentException($"{source}: pooling takes the distillation token, which the model does not have.");
        return HeadSize == 0 ? this with { HeadSize = HiddenSize / Heads } : this;
    }
}
