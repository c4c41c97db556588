using static System.IO.Path;

namespace NanoLora.Data;

/// <summary>
/// The study's images, read from a folder of raw sources: four sets that train the base model, and ten few-shot tasks, all 28 x 28 in one channel. Drawings
/// are bright on black; the sign-language digits are photographs and stay as they are, a hand before a light wall.
/// </summary>
public sealed class Sources
{
    /// <summary>Height and width of all images.</summary>
    public const int Side = 28;

    /// <summary>Of the twenty drawers of an Omniglot alphabet, those from this number on are its test set.</summary>
    private const int FirstTestDrawer = 11;

    private Sources(IReadOnlyList<ImageTask> pretraining, IReadOnlyList<ImageTask> tasks) => (Pretraining, Tasks) = (pretraining, tasks);

    /// <summary>Fashion-MNIST, MNIST, Quick Draw and notMNIST, 36 classes in all.</summary>
    public IReadOnlyList<ImageTask> Pretraining { get; }

    /// <summary>
    /// Eight Omniglot alphabets by name, hand-drawn shapes, sign-language digits. The first is held out, the others are upstream; other experiments deal
    /// the pools anew.
    /// </summary>
    public IReadOnlyList<ImageTask> Tasks { get; }

    /// <summary>How often each source of <see cref="Pretraining"/> is drawn.</summary>
    public static IReadOnlyList<float> PretrainingWeights { get; } = [0.3f, 0.2f, 0.25f, 0.25f];

    /// <summary>The sets that train the base model, drawn by weight; with quarter turns the 36 classes become 72.</summary>
    public ImageMixture PretrainingMixture(bool quarterTurns = true) => new(Pretraining, PretrainingWeights, quarterTurns);

    /// <summary>
    /// Reads all sources from their folders img-fashion-mnist, img-mnist, img-quickdraw6, img-notmnist, img-omniglot, img-hand-drawn-shapes and
    /// img-sign-language-digits.
    /// </summary>
    /// <exception cref="DirectoryNotFoundException">A folder is missing.</exception>
    /// <exception cref="InvalidDataException">A file is malformed; the message names it.</exception>
    public static Sources Load(string dataFolder) => new(LoadPretraining(dataFolder), LoadTasks(dataFolder));

    /// <summary>The four sets that train the base model.</summary>
    public static IReadOnlyList<ImageTask> LoadPretraining(string dataFolder) =>
        [FashionMnist(dataFolder), Mnist(dataFolder), QuickDraw(dataFolder), NotMnist(dataFolder)];

    /// <summary>The ten few-shot tasks, the first one held out.</summary>
    public static IReadOnlyList<ImageTask> LoadTasks(string dataFolder)
    {
        List<ImageTask> tasks = [.. Alphabets(dataFolder), Shapes(dataFolder), SignDigits(dataFolder)];
        tasks[0] = tasks[0] with { Pool = Pool.HeldOut };
        return tasks;
    }

    /// <summary>What all parts of a source share.</summary>
    private sealed record Origin(string Name, string[] Classes, string Licence, string Source)
    {
        public ImageSet Stamp(ImageSet set) => new(Name, set.Size, set.Pixels, set.Labels, Classes, set.Groups) { Licence = Licence, Source = Source };

        /// <summary>Reads one part, its images and its labels.</summary>
        public ImageSet Read(string folder, string part, string kind = "idx3") =>
            Stamp(Idx.ReadImages(Name, Combine(folder, $"{part}-images-{kind}-ubyte.gz"), Combine(folder, $"{part}-labels-idx1-ubyte.gz"), Classes));
    }

    private static ImageTask FashionMnist(string data)
    {
        string[] classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
        var origin = new Origin("Fashion-MNIST", classes, "MIT", "https://github.com/zalandoresearch/fashion-mnist");
        var folder = Folder(data, "img-fashion-mnist");
        return new(origin.Name, origin.Read(folder, "train"), origin.Read(folder, "t10k"), Pool.Pretraining);
    }

    private static ImageTask Mnist(string data)
    {
        var origin = new Origin("MNIST", Digits, "CC BY-SA 3.0", "MNIST, Y. LeCun and C. Cortes");
        var folder = Folder(data, "img-mnist");
        return new(origin.Name, origin.Read(folder, "train"), origin.Read(folder, "t10k"), Pool.Pretraining);
    }

    /// <summary>The last sixth of each class is the test set.</summary>
    private static ImageTask QuickDraw(string data)
    {
        var origin = new Origin("Quick Draw", ["apple", "bicycle", "cat", "diamond", "eye", "fish"], "CC BY 4.0", "Quick, Draw! data, Google");
        var folder = Folder(data, "img-quickdraw6");
        var size = new ImageSize(1, Side, Side);
        var sets = new ImageSet[origin.Classes.Length];
        for (var c = 0; c < sets.Length; c++)
        {
            var path = Combine(folder, $"{origin.Classes[c]}.npy.gz");
            var (values, sizes) = Npy.Read(path);
            if (sizes.Length < 2 || (long)sizes[0] * size.Length != values.Length)
                throw new InvalidDataException($"{path}: the shape [{string.Join(", ", sizes)}] holds no images of {size}.");
            var labels = new int[sizes[0]];
            Array.Fill(labels, c);
            sets[c] = origin.Stamp(new(origin.Name, size, values, labels, origin.Classes));
        }
        return LastSixthOfEachClass(ImageSet.Concat(origin.Name, sets), Pool.Pretraining);
    }

    /// <summary>The last sixth of each class is the test set.</summary>
    private static ImageTask NotMnist(string data)
    {
        var origin = new Origin("notMNIST", ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"], "MIT", "https://github.com/davidflanagan/notMNIST-to-MNIST");
        return LastSixthOfEachClass(origin.Read(Folder(data, "img-notmnist"), "t10k"), Pool.Pretraining);
    }

    private static IEnumerable<ImageTask> Alphabets(string data)
    {
        var folder = Folder(data, "img-omniglot");
        foreach (var drawn in Omniglot.Read(Combine(folder, "images_background_small1.zip"), Combine(folder, "images_background_small2.zip")))
        {
            var small = Resize.Area(drawn, Side, Side);
            yield return Split(small, Pool.Upstream, (i, _) => small.Groups![i] >= FirstTestDrawer);
        }
    }

    private static ImageTask Shapes(string data)
    {
        string[] classes = ["ellipse", "other", "rectangle", "triangle"];
        var origin = new Origin("Hand-drawn shapes", classes, "CC BY 4.0", "https://github.com/frobertpixto/hand-drawn-shapes-dataset");
        var folder = Folder(data, "img-hand-drawn-shapes");
        return new(origin.Name, Small(origin.Read(folder, "hds-train")), Small(origin.Read(folder, "hds-test")), Pool.Upstream);

        static ImageSet Small(ImageSet set) => Resize.Invert(Resize.Area(set, Side, Side));
    }

    private static ImageTask SignDigits(string data)
    {
        var origin = new Origin("Sign-language digits", Digits, "Apache-2.0", "https://github.com/ardamavi/Sign-Language-Digits-Dataset");
        var folder = Folder(data, "img-sign-language-digits");
        return new(origin.Name, Small(origin.Read(folder, "signdigits-train", "idx4")), Small(origin.Read(folder, "signdigits-test", "idx4")), Pool.Upstream);

        static ImageSet Small(ImageSet set) => Resize.Area(Resize.Gray(set), Side, Side);
    }

    private static string[] Digits => ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

    private static string Folder(string data, string name)
    {
        var folder = Combine(data, name);
        return Directory.Exists(folder) ? folder : throw new DirectoryNotFoundException($"Sources: the folder {folder} is missing; fetch the data sets first.");
    }

    private static ImageTask LastSixthOfEachClass(ImageSet set, Pool pool)
    {
        var counts = set.ClassCounts();
        return Split(set, pool, (i, before) => before >= counts[set.Labels[i]] - counts[set.Labels[i]] / 6);
    }

    /// <summary>Deals a set into training and test images.</summary>
    /// <param name="set">All images.</param>
    /// <param name="pool">The pool of the task.</param>
    /// <param name="isTest">From an image's index and the number of images of its class before it.</param>
    private static ImageTask Split(ImageSet set, Pool pool, Func<int, int, bool> isTest)
    {
        List<int> train = [], test = [];
        var before = new int[set.Classes.Length];
        for (var i = 0; i < set.Count; i++) (isTest(i, before[set.Labels[i]]++) ? test : train).Add(i);
        return new(set.Name, set.Subset([.. train]), set.Subset([.. test]), pool);
    }
}
