namespace NanoLora.Experiments;

/// <summary>The arms of the few-shot study as they are named in files, what they are called in prose, and the order in which they are shown.</summary>
public static class ArmNames
{
    /// <summary>A linear head on the raw pixels: what no model at all reaches.</summary>
    public const string PixelProbe = "pixel-probe";

    /// <summary>A linear head on bags of words: the same for texts.</summary>
    public const string BagOfWords = "bag-of-words";

    /// <summary>A linear head on the frozen base: the reference that every difference is taken to.</summary>
    public const string LinearProbe = "linear-probe";

    /// <summary>The base as it is, which answers in words and learns nothing: what differences are taken to where there is no head.</summary>
    public const string Base = "base";

    /// <summary>All weights of the base and the head trained.</summary>
    public const string FullFinetune = "full-finetune";

    /// <summary>A new LoRA and the head trained from scratch.</summary>
    public const string Lora = "lora";

    /// <summary>The upstream modules mixed with 1/N each; the head trained.</summary>
    public const string Uniform = "uniform";

    /// <summary>The upstream modules mixed by softmax(v); v and the head trained.</summary>
    public const string Learned = "learned";

    /// <summary>The control: as learned, over random modules of the same norms.</summary>
    public const string RandomModules = "random-modules";

    /// <summary>
    /// The arms of images in the order in which they are shown, bag-of-words and base before them; others follow in the order in which they appear.
    /// </summary>
    public static IReadOnlyList<string> Order { get; } = [PixelProbe, LinearProbe, FullFinetune, Lora, Uniform, Learned, RandomModules];

    /// <summary>What an arm of the demo is called in prose; another arm is called by its name.</summary>
    public static string Label(string arm) => arm switch
    {
        PixelProbe => "linear probe on pixels",
        BagOfWords => "bag of words",
        LinearProbe => "linear probe",
        Base => "the base as it is",
        FullFinetune => "full fine-tuning",
        Lora => "LoRA from scratch",
        Uniform => "uniform composition",
        Learned => "learned composition",
        RandomModules => "random modules (control)",
        _ => arm,
    };

    /// <summary>The arms that occur in the cells, in the order in which they are shown.</summary>
    public static IReadOnlyList<string> In(IReadOnlyList<Cell> cells)
    {
        var present = new List<string>();
        foreach (var cell in cells)
        {
            if (!present.Contains(cell.Arm)) present.Add(cell.Arm);
        }
        var ordered = new List<string>(present.Count);
        foreach (var arm in (IEnumerable<string>)[BagOfWords, Base, .. Order])
        {
            if (present.Remove(arm)) ordered.Add(arm);
        }
        ordered.AddRange(present);
        return ordered;
    }
}
